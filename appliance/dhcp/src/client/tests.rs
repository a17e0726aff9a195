use proptest::prelude::*;

use super::*;
use crate::DecodeError;

const MAC: [u8; 6] = [2, 0, 0, 0, 0, 7];
const SERVER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 254);
const OTHER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 253);
const FIRST: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 10);
const SECOND: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 20);

/// Numbers in order; nobody else guesses here.
struct Count(u32);

impl Random for Count {
    fn number(&mut self) -> u32 {
        self.0 += 1;
        self.0
    }
}

/// A client with time of its own, and what it said.
struct Bench {
    client: Client,
    now: Instant,
    actions: Vec<Action>,
}

impl Bench {
    fn new(remembered: Option<Held>) -> Self {
        let random = Box::new(Count(1000));
        let client = Client::new(MAC, Some("branch-042".to_owned()), remembered, random);
        Bench {
            client,
            now: Instant::now(),
            actions: Vec::new(),
        }
    }

    fn feed(&mut self, input: Input<'_>) -> Vec<Action> {
        let actions = self.client.handle(input, self.now);
        self.actions.extend(actions.clone());
        actions
    }

    /// Lets the time pass until the client wants to do something.
    fn wait(&mut self) -> Vec<Action> {
        self.now = self.client.deadline().expect("it waits for something");
        self.feed(Input::Tick)
    }

    /// What the client said last.
    fn said(&self) -> Message {
        let bytes = self.actions.iter().rev().find_map(|action| match action {
            Action::Broadcast(bytes) | Action::Send { bytes, .. } => Some(bytes),
            Action::Use(_) | Action::Lose(_) => None,
        });
        Message::decode(bytes.unwrap()).unwrap()
    }

    /// A server answers what was said last.
    fn answer(&mut self, kind: Kind, address: Ipv4Addr, server: Ipv4Addr) -> Vec<Action> {
        let reply = reply(&self.said(), kind, address, server);
        self.feed(Input::Received(&reply.encode()))
    }

    fn bound() -> Self {
        let mut bench = Bench::new(None);
        bench.feed(Input::LinkUp);
        bench.answer(Kind::Offer, FIRST, SERVER);
        bench.answer(Kind::Ack, FIRST, SERVER);
        assert_eq!(bench.client.phase(), Phase::Bound);
        bench
    }
}

fn reply(request: &Message, kind: Kind, address: Ipv4Addr, server: Ipv4Addr) -> Message {
    let options = Options::default()
        .of_kind(kind)
        .with(code::SERVER_IDENTIFIER, &server.octets());
    let granted = options
        .clone()
        .with(code::LEASE_TIME, &3600u32.to_be_bytes())
        .with(code::SUBNET_MASK, &[255, 255, 255, 0])
        .with(code::ROUTER, &[192, 0, 2, 1])
        .with(code::DOMAIN_NAME_SERVER, &[192, 0, 2, 2, 192, 0, 2, 3])
        .with(code::NTP_SERVERS, &[192, 0, 2, 4]);
    Message {
        operation: Operation::Reply,
        yours: if kind == Kind::Nak {
            Ipv4Addr::UNSPECIFIED
        } else {
            address
        },
        options: if kind == Kind::Nak { options } else { granted },
        ..request.clone()
    }
}

fn used(actions: &[Action]) -> Vec<Ipv4Addr> {
    let used = actions.iter().filter_map(|action| match action {
        Action::Use(lease) => Some(lease.address),
        Action::Broadcast(_) | Action::Send { .. } | Action::Lose(_) => None,
    });
    used.collect()
}

/// Figure 3 of RFC 2131, and the fields of its table 5.
#[test]
fn a_lease_is_found_asked_for_and_used() {
    let mut bench = Bench::new(None);
    assert_eq!(bench.client.deadline(), None, "nothing happens without a link");
    bench.feed(Input::LinkUp);
    let discover = bench.said();
    assert_eq!(discover.options.kind(), Some(Kind::Discover));
    assert_eq!(discover.options.get(code::HOST_NAME), Some(&b"branch-042"[..]));
    let requested = discover.options.get(code::PARAMETER_REQUEST_LIST).unwrap();
    assert!(requested.contains(&code::NTP_SERVERS), "{requested:?}");
    bench.answer(Kind::Offer, FIRST, SERVER);
    let request = bench.said();
    assert_eq!(request.options.kind(), Some(Kind::Request));
    assert_eq!(request.options.address(code::REQUESTED_ADDRESS), Some(FIRST));
    assert_eq!(request.options.address(code::SERVER_IDENTIFIER), Some(SERVER));
    assert_eq!(
        (request.client, request.transaction),
        (Ipv4Addr::UNSPECIFIED, discover.transaction)
    );
    let actions = bench.answer(Kind::Ack, FIRST, SERVER);
    let [Action::Use(lease)] = actions.as_slice() else {
        panic!("{actions:?}")
    };
    assert_eq!((lease.address, lease.prefix_length), (FIRST, 24));
    assert_eq!(lease.router, Some([192, 0, 2, 1].into()));
    assert_eq!(lease.name_servers.len(), 2);
    assert_eq!(lease.ntp_servers, [Ipv4Addr::new(192, 0, 2, 4)]);
    assert_eq!(lease.duration, Some(Duration::from_secs(3600)));
    assert_eq!(
        bench.client.deadline(),
        Some(bench.now + Duration::from_secs(1800)),
        "T1"
    );
}

/// What does not fill an address is cut off, what is no host's is left out, and of many the first eight are remembered.
#[test]
fn servers_of_the_time_are_hosts_and_few() {
    let granted = |octets: &[u8]| {
        let mut bench = Bench::new(None);
        bench.feed(Input::LinkUp);
        bench.answer(Kind::Offer, FIRST, SERVER);
        let mut reply = reply(&bench.said(), Kind::Ack, FIRST, SERVER);
        reply.options = reply.options.with(code::NTP_SERVERS, octets);
        bench.feed(Input::Received(&reply.encode()));
        bench.client.held().unwrap().lease.ntp_servers.clone()
    };
    let first = Ipv4Addr::new(192, 0, 2, 4);
    assert_eq!(
        granted(&[0, 0, 0, 0, 224, 0, 0, 1, 127, 0, 0, 1, 192, 0, 2]),
        [first]
    );
    let many = granted(&[192, 0, 2, 5].repeat(60));
    assert_eq!((many.len(), many[0]), (8, first));
}

/// Without a server the client goes on asking, ever more rarely.
#[test]
fn servers_are_looked_for_without_end() {
    let mut bench = Bench::new(None);
    bench.feed(Input::LinkUp);
    let mut waits = Vec::new();
    for _ in 0..7 {
        let before = bench.now;
        bench.wait();
        assert_eq!(bench.said().options.kind(), Some(Kind::Discover));
        waits.push((bench.now - before).as_secs_f64());
    }
    for (wait, expected) in waits.iter().zip([4.0, 8.0, 16.0, 32.0, 64.0, 64.0, 64.0]) {
        assert!((wait - expected).abs() <= 1.0, "{waits:?}");
    }
}

/// At T1 its server is asked, at T2 everybody, and at the end it is over (RFC 2131 §4.4.5).
#[test]
fn a_lease_is_renewed_rebound_or_lost() {
    let mut bench = Bench::bound();
    let start = bench.now;
    let actions = bench.wait();
    let [Action::Send { from, to, .. }] = actions.as_slice() else {
        panic!("{actions:?}")
    };
    assert_eq!((*from, *to, bench.said().client), (FIRST, SERVER, FIRST));
    assert_eq!(bench.said().options.get(code::REQUESTED_ADDRESS), None);
    assert_eq!(used(&bench.answer(Kind::Ack, FIRST, SERVER)), [FIRST]);
    assert_eq!(
        bench.client.held().unwrap().since,
        start + Duration::from_secs(1800)
    );

    let again = bench.client.held().unwrap().since;
    while bench.client.phase() != Phase::Rebinding {
        bench.wait();
    }
    assert_eq!(bench.now, again + Duration::from_secs(3150), "T2");
    let actions = bench.answer(Kind::Ack, FIRST, OTHER);
    assert_eq!(used(&actions), [FIRST], "from whatever server");

    let end = bench.client.held().unwrap().end().unwrap();
    let mut asked = 0;
    let last = loop {
        let actions = bench.wait();
        asked += 1;
        if bench.client.held().is_none() {
            break actions;
        }
    };
    assert_eq!((bench.now, &last[0]), (end, &Action::Lose(Loss::Expired)));
    assert_eq!(bench.client.phase(), Phase::Selecting);
    assert!(asked < 60, "{asked} questions in half an hour");
}

/// A server that does not know the lease says so, and another address is found.
#[test]
fn a_refused_lease_is_given_up_at_once() {
    let mut bench = Bench::bound();
    bench.wait();
    assert_eq!(bench.answer(Kind::Nak, SECOND, OTHER), [], "not its server");
    let actions = bench.answer(Kind::Nak, SECOND, SERVER);
    assert_eq!(actions[0], Action::Lose(Loss::Refused));
    bench.answer(Kind::Offer, SECOND, SERVER);
    assert_eq!(used(&bench.answer(Kind::Ack, SECOND, SERVER)), [SECOND]);
}

/// INIT-REBOOT: a lease of before is asked for by name; granted, refused, or used without an answer (RFC 2131 §3.2).
#[test]
fn a_lease_of_before_is_asked_for_first() {
    let before = Bench::bound();
    let remembered = before.client.held().cloned();
    let restarted = || {
        let mut bench = Bench::new(remembered.clone());
        bench.now = before.now + Duration::from_secs(60);
        bench.feed(Input::LinkUp);
        let asked = bench.said();
        assert_eq!(asked.options.address(code::REQUESTED_ADDRESS), Some(FIRST));
        assert_eq!(asked.options.get(code::SERVER_IDENTIFIER), None);
        bench
    };
    assert_eq!(used(&restarted().answer(Kind::Ack, FIRST, OTHER)), [FIRST]);
    let refused = restarted().answer(Kind::Nak, FIRST, OTHER);
    assert_eq!(refused[0], Action::Lose(Loss::Refused));

    let mut dark = restarted();
    let began = dark.now;
    while used(&dark.actions).is_empty() {
        dark.wait();
    }
    assert!(
        dark.now - began <= Duration::from_secs(15),
        "{:?}",
        dark.now - began
    );
    assert_eq!(dark.client.phase(), Phase::Rebinding);
    dark.wait();
    assert_eq!(used(&dark.answer(Kind::Ack, FIRST, OTHER)), [FIRST]);

    let mut late = Bench::new(remembered.clone());
    late.now = before.now + Duration::from_secs(4000);
    late.feed(Input::LinkUp);
    assert_eq!(late.said().options.kind(), Some(Kind::Discover), "it is over");
}

/// A cable that is pulled and plugged in again may lead elsewhere; until somebody says so the lease holds.
#[test]
fn a_link_that_was_down_asks_again() {
    let mut bench = Bench::bound();
    assert_eq!(bench.feed(Input::LinkDown), []);
    assert_eq!(bench.client.held().unwrap().lease.address, FIRST);
    bench.feed(Input::LinkUp);
    assert_eq!(bench.client.phase(), Phase::Rebooting);
    let actions = bench.answer(Kind::Nak, FIRST, OTHER);
    assert_eq!(actions[0], Action::Lose(Loss::Refused));
    bench.answer(Kind::Offer, SECOND, OTHER);
    assert_eq!(used(&bench.answer(Kind::Ack, SECOND, OTHER)), [SECOND]);

    bench.feed(Input::LinkDown);
    assert_eq!(bench.wait(), [Action::Lose(Loss::Expired)], "also without a link");
    assert_eq!(bench.client.deadline(), None);
}

/// Answers to somebody else, to an older question, or with what cannot be used, change nothing.
#[test]
fn what_was_not_asked_for_is_not_taken() {
    let mut bench = Bench::new(None);
    bench.feed(Input::LinkUp);
    let good = reply(&bench.said(), Kind::Offer, FIRST, SERVER);
    let mut wrong = vec![good.clone(); 9];
    wrong[0].transaction += 1;
    wrong[1].hardware = [2, 0, 0, 0, 0, 8];
    wrong[2].operation = Operation::Request;
    wrong[3].yours = Ipv4Addr::UNSPECIFIED;
    wrong[4].yours = [224, 0, 0, 1].into();
    wrong[5].yours = [192, 0, 2, 255].into();
    wrong[6].options = Options::default().of_kind(Kind::Offer);
    wrong[7].options = good.options.clone().with(code::SUBNET_MASK, &[1]);
    wrong[8].options = good.options.clone().of_kind(Kind::Offer);
    wrong[7].options = wrong[7].options.clone().with(code::LEASE_TIME, &[0]);
    for message in &wrong {
        assert_eq!(bench.feed(Input::Received(&message.encode())), [], "{message:?}");
    }
    bench.feed(Input::Received(&good.encode()));
    assert_eq!(bench.answer(Kind::Ack, SECOND, SERVER), [], "another address");
    assert_eq!(bench.answer(Kind::Nak, FIRST, OTHER), [], "another server");
    bench.answer(Kind::Nak, FIRST, SERVER);
    let before = bench.now;
    assert_eq!(bench.client.phase(), Phase::Selecting);
    bench.wait();
    assert_eq!(
        bench.now - before,
        REFUSAL_WAIT,
        "a server that refuses what it offers"
    );
}

proptest! {
    /// Whatever arrives in whatever state: no panic, the deadline lies ahead after it was met, and no more is said than one
    /// message for each fact.
    #[test]
    fn whatever_arrives_is_borne(
        steps in proptest::collection::vec((0u8..6, any::<u32>(), proptest::collection::vec(any::<u8>(), 0..40)), 0..60),
    ) {
        let mut bench = Bench::new(None);
        for (step, number, octets) in steps {
            let actions = match step {
                0 => bench.feed(Input::LinkUp),
                1 => bench.feed(Input::LinkDown),
                2 if bench.client.deadline().is_some() => bench.wait(),
                3 | 4 if !bench.actions.is_empty() => {
                    let kinds = [Kind::Offer, Kind::Ack, Kind::Nak];
                    let kind = kinds[usize::try_from(number % 3).unwrap()];
                    let mut message = reply(&bench.said(), kind, number.into(), SERVER);
                    for (code, value) in octets.iter().zip(octets.chunks(5)) {
                        message.options = message.options.with(*code, value);
                    }
                    let bytes = message.encode();
                    prop_assert!(Message::decode(&bytes) != Err(DecodeError::NoCookie));
                    bench.feed(Input::Received(&bytes))
                }
                _ => bench.feed(Input::Received(&octets)),
            };
            let said = actions.iter().filter(|one| matches!(one, Action::Broadcast(_) | Action::Send { .. }));
            prop_assert!(said.count() <= 1, "{actions:?}");
            prop_assert!(bench.client.deadline().is_none_or(|due| due > bench.now || step != 2));
        }
    }
}
