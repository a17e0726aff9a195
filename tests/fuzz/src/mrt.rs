use bgp::mrt::{LONGEST_RECORD, RECORD_HEADER, RecordHeader, RecordReader, Told};
use bgp::wire::update::Context;
use bgp::{Families, Limits, Neighbour, NeighbourName, Policy, Settings, Timers, Translation, Trial};

/// A file of routes and messages (MRT), read record by record, and tried on a neighbour.
pub fn mrt_record(bytes: &[u8]) {
    let told = read(bytes);
    // Whoever reads it again reads the same.
    assert_eq!(told, read(bytes));
    let Some(mut trial) = Trial::new(&settings(), &name()) else {
        panic!("a neighbour of these settings has no rules");
    };
    let mut announced = 0_u64;
    for Told { update, .. } in told {
        let to = update.announced.iter().map(|(_, to)| to.len());
        announced += to
            .map(|count| u64::try_from(count).unwrap_or(u64::MAX))
            .sum::<u64>();
        assert!(
            trial.take(update).is_ok(),
            "so many prefixes cannot be in so few octets"
        );
    }
    let outcome = trial.outcome();
    let judged: u64 = outcome.decisions.values().map(|decided| decided.routes).sum();
    assert!(judged <= announced);
    for limit in outcome.limits.values() {
        // Whatever is there at the end was there at once, so it cannot exceed unseen.
        assert!(limit.received <= limit.limit || limit.exceeded_at.is_some());
    }
}

/// What it tells, up to the first record that is none.
fn read(mut rest: &[u8]) -> Vec<Told> {
    let (mut reader, mut all) = (RecordReader::new(context()), Vec::new());
    while let Some((header, tail)) = rest.split_first_chunk::<RECORD_HEADER>() {
        let Ok(header) = RecordHeader::decode(*header) else {
            return all;
        };
        assert!(header.length <= LONGEST_RECORD);
        let Some((body, tail)) = tail.split_at_checked(header.length) else {
            return all;
        };
        match reader.read(header, body) {
            Ok(told) => {
                let routes = |told: &Told| {
                    let announced: usize = told.update.announced.iter().map(|(_, to)| to.len()).sum();
                    announced + told.update.withdrawn.len()
                };
                let routes: usize = told.iter().map(routes).sum();
                assert!(routes <= body.len(), "{routes} routes of {} octets", body.len());
                all.extend(told);
            }
            Err(words) => {
                assert!(!words.is_empty() && !words.contains(char::is_control));
                return all;
            }
        }
        rest = tail;
    }
    all
}

fn context() -> Context {
    Context {
        four_octet_asn: true,
        families: Families::ALL,
        add_path: Families::NONE,
        ipv6_next_hops: true,
        internal: false,
        first_asn: None,
        as_sets: false,
    }
}

fn name() -> NeighbourName {
    NeighbourName("peer".into())
}

fn settings() -> Settings {
    let neighbour = Neighbour {
        site: "peer".into(),
        local: [169, 254, 21, 2].into(),
        remote: [169, 254, 21, 1].into(),
        asn: 65_020,
        passive: false,
        timers: Timers::USUAL,
        families: Families::ALL,
        limits: Limits {
            prefixes: 2,
            restart_after: None,
        },
        translation: Translation::default(),
        import: Policy::ALL,
        export: Policy::ALL,
        role: None,
        add_path: false,
        local_preference: 100,
        priority: 0,
    };
    let mut settings = Settings::none();
    settings.asn = 65_010;
    settings.neighbours.insert(name(), neighbour);
    settings
}
