//! Random rules and packets: what the kernel does is what the evaluator says.

use std::env;

use appliance_nat::{Answered, End, Numbers, Outcome, Packet, Passed, Program, Source, Verdict, compile};

use crate::lab::Lab;
use crate::packet::{Seen, Turn, build};
use crate::world::{Dice, OURS, TUNNELS, World};

const SETS: u64 = 40;
const PACKETS: u16 = 60;

/// `CAUSEWAY_NAT_SETS` says how many sets of rules, `CAUSEWAY_NAT_SEED` from which on.
#[test]
fn the_kernel_and_the_evaluator_agree() {
    let number = |name: &str, default| env::var(name).map_or(default, |text| text.parse().unwrap());
    let first = number("CAUSEWAY_NAT_SEED", 1);
    let mut links = vec!["lan".to_owned()];
    links.extend((1..=TUNNELS).map(|number| format!("cw-{number}")));
    let links: Vec<&str> = links.iter().map(String::as_str).collect();
    let lab = Lab::new(&links, &OURS);
    lab.tables((1..=TUNNELS).map(|number| (0x4357_0000 | u32::from(number), format!("cw-{number}"))));
    let mut counts = [0; 4];
    for seed in first..first + number("CAUSEWAY_NAT_SETS", SETS) {
        let world = World::random(seed);
        let program = compile(&world.rules, &Numbers::default()).unwrap();
        lab.load(&world.routes, &program);
        let listing = lab.nft(&["list", "table", "inet", "causeway_nat"], "");
        assert_eq!(Numbers::from_listing(&listing).as_ref(), Some(program.numbers()));
        let mut dice = Dice(seed ^ 3);
        for number in 20_000..20_000 + PACKETS {
            let packet = world.packet(&mut dice, number);
            let case = Case {
                lab: &lab,
                world: &world,
                program: &program,
                packet: &packet,
                number,
                seed,
            };
            let counted = case.run();
            counts[counted] += 1;
        }
    }
    println!(
        "{} packets refused, {} passed, {} passed and answered, {} not tried",
        counts[0], counts[1], counts[2], counts[3]
    );
    assert!(counts.iter().all(|count| *count > 0), "every kind is there");
}

/// One packet through one set of rules.
struct Case<'c> {
    lab: &'c Lab,
    world: &'c World,
    program: &'c Program,
    packet: &'c Packet,
    number: u16,
    seed: u64,
}

impl Case<'_> {
    fn run(&self) -> usize {
        let routes = |address| self.world.route(address);
        let verdict = self.program.evaluate(self.packet, &routes);
        let passed = match &verdict.outcome {
            Outcome::Refused { .. } => {
                self.begin();
                self.nothing_else(&verdict);
                return 0;
            }
            Outcome::Passed(passed) => passed,
        };
        let answer = |source: End| {
            let answerable = self
                .world
                .is_answerable(self.packet, passed.link.as_deref(), source);
            let answered = || {
                self.program
                    .answer(self.packet, &verdict, source, &routes)
                    .unwrap()
            };
            answerable.then(answered)
        };
        match (&self.packet.link, &passed.link) {
            (None, None) => 3,
            (_, Some(link)) => {
                let own = self.begin();
                let seen = self.seen(link, &verdict);
                let source = self.compare(&seen, passed, &verdict);
                self.nothing_else(&verdict);
                let Some(answered) = answer(source) else {
                    return 1;
                };
                let bytes = build(
                    Turn::Answer,
                    self.packet.protocol,
                    (seen.destination, seen.source),
                    seen.id.unwrap_or(0),
                    b"answered",
                );
                self.lab.send(link, &bytes);
                match (own, &answered.link) {
                    (Some(socket), None) => {
                        let (_, from) = socket.recv_from(&mut [0; 100]).unwrap();
                        let heard = End {
                            address: from.ip(),
                            port: Some(from.port()),
                        };
                        assert_eq!(heard, answered.source, "{}", self.told(&verdict));
                    }
                    (_, Some(link)) => self.answered(link, &answered, &verdict),
                    (None, None) => panic!("{}", self.told(&verdict)),
                }
                2
            }
            (Some(_), None) => self.to_ourselves(passed, &verdict, answer),
        }
    }

    /// Our kernel answers pings and refuses connections; UDP we answer.
    fn to_ourselves(
        &self,
        passed: &Passed,
        verdict: &Verdict,
        answer: impl Fn(End) -> Option<Answered>,
    ) -> usize {
        let socket = (self.packet.protocol == 17).then(|| self.lab.socket(passed.destination));
        self.begin();
        let mut source = match &passed.source {
            Source::Is(end) => *end,
            Source::OneOf { addresses, .. } => End {
                address: addresses.network(),
                port: None,
            },
        };
        if let Some(socket) = &socket {
            let heard = socket.recv_from(&mut [0; 100]);
            let (_, from) = heard.unwrap_or_else(|error| {
                panic!("{error}, but {:?}: {}", self.lab.others(), self.told(verdict))
            });
            source = End {
                address: from.ip(),
                port: Some(from.port()),
            };
            assert!(passed.source.allows(source), "{from} {}", self.told(verdict));
            self.nothing_else(verdict);
            socket.send_to(b"answered", from).unwrap();
        }
        let Some(Answered { link: Some(link), .. }) = answer(source) else {
            self.lab.others();
            return 1;
        };
        let answered = answer(source).unwrap();
        let seen = self.seen(&link, verdict);
        assert_eq!(
            (seen.source, seen.destination),
            (answered.source, answered.destination),
            "{}",
            self.told(verdict)
        );
        self.nothing_else(verdict);
        2
    }

    /// Sends the packet; the socket, if it is from ourselves.
    fn begin(&self) -> Option<std::net::UdpSocket> {
        let Packet {
            link,
            protocol,
            source,
            destination,
        } = self.packet;
        let Some(link) = link else {
            let socket = self.lab.socket(*source);
            // What is refused may be said at once.
            let _ = socket.send_to(b"causeway", (destination.address, destination.port.unwrap()));
            return Some(socket);
        };
        let bytes = build(
            Turn::First,
            *protocol,
            (*source, *destination),
            self.number,
            b"causeway",
        );
        self.lab.send(link, &bytes);
        None
    }

    fn seen(&self, link: &str, verdict: &Verdict) -> Seen {
        self.lab.next(link).unwrap_or_else(|| {
            let others = self.lab.others();
            panic!("nothing on {link}, but {others:?}: {}", self.told(verdict))
        })
    }

    fn nothing_else(&self, verdict: &Verdict) {
        let others = self.lab.others();
        assert!(others.is_empty(), "{others:?}: {}", self.told(verdict));
    }

    /// Compares what came out with what was expected; where it is from.
    fn compare(&self, seen: &Seen, passed: &Passed, verdict: &Verdict) -> End {
        let mut told = seen.source;
        if matches!(passed.source, Source::OneOf { .. }) {
            told.port = told.port.or(seen.id);
        } else {
            assert_eq!(seen.id, seen.id.map(|_| self.number));
        }
        let right = passed.source.allows(told)
            && seen.destination == passed.destination
            && (seen.intact || self.packet.link.is_none())
            && seen.protocol == self.packet.protocol;
        assert!(right, "{seen:?}: {}", self.told(verdict));
        told
    }

    fn answered(&self, link: &str, answered: &Answered, verdict: &Verdict) {
        let seen = self.seen(link, verdict);
        let right = seen.source == answered.source
            && seen.destination == answered.destination
            && seen.id.is_none_or(|id| id == self.number)
            && seen.intact;
        assert!(right, "{seen:?}, not {answered:?}: {}", self.told(verdict));
        self.nothing_else(verdict);
    }

    fn told(&self, verdict: &Verdict) -> String {
        format!("seed {}, {:?}, {verdict:?}", self.seed, self.packet)
    }
}
