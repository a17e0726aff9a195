use std::time::{Duration, Instant};

use appliance_dhcp::{Action, Client, Input, Message, Phase, Random, code, payload};

use crate::script::Script;

const HARDWARE: [u8; 6] = [2, 0, 0, 0, 0, 1];

/// Ids and waits that whoever sees one request can answer.
struct Counted(u32);

impl Random for Counted {
    fn number(&mut self) -> u32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9);
        self.0
    }
}

/// A DHCP client in a network where anybody answers: whatever comes, it uses no address that it was not given, asks for a
/// bounded number of things, and is not due again and again in the same moment.
pub fn dhcp(bytes: &[u8]) {
    let mut script = Script::new(bytes);
    let mut client = Client::new(HARDWARE, Some("branch".to_owned()), None, Box::new(Counted(0)));
    #[allow(clippy::disallowed_methods, reason = "virtual time needs a beginning")]
    let mut now = Instant::now();
    let mut asked = 0;
    while let Some(choice) = script.octet() {
        let actions = match choice % 8 {
            0 => client.handle(Input::LinkUp, now),
            1 => client.handle(Input::LinkDown, now),
            2 => {
                now = client.deadline().unwrap_or(now).max(now);
                let actions = client.handle(Input::Tick, now);
                let due = client.deadline();
                assert!(due.is_none_or(|due| due > now), "due again at once");
                actions
            }
            3 => {
                now += Duration::from_secs(u64::try_from(script.word()).unwrap_or(0));
                Vec::new()
            }
            4 => {
                let frame = script.octets(600);
                client.handle(Input::Received(payload(frame).unwrap_or_default()), now)
            }
            _ => client.handle(Input::Received(&answer(script.octets(320), asked, choice)), now),
        };
        assert!(actions.len() <= 3, "{actions:?}");
        for action in &actions {
            perform(action, &client, &mut asked);
        }
    }
}

fn perform(action: &Action, client: &Client, asked: &mut u32) {
    match action {
        Action::Broadcast(bytes) | Action::Send { bytes, .. } => {
            let message = Message::decode(bytes);
            let Ok(message) = message else {
                panic!("we sent what we cannot read: {message:?}")
            };
            assert_eq!(message.hardware, HARDWARE, "we ask for ourselves");
            *asked = message.transaction;
        }
        Action::Use(lease) => {
            // A lease that nobody confirmed after the link came back is used while any server is asked.
            let phase = client.phase();
            assert!(matches!(phase, Phase::Bound | Phase::Rebinding), "{phase:?}");
            assert_eq!(client.held().map(|held| &held.lease), Some(lease));
            assert!(!lease.address.is_unspecified(), "an address is one");
            assert!(lease.prefix_length <= 32);
        }
        Action::Lose(_) => (),
    }
}

/// What a server says, made to fit what was asked if the choice says so, for random octets hardly ever do.
fn answer(octets: &[u8], asked: u32, choice: u8) -> Vec<u8> {
    let Ok(mut message) = Message::decode(octets) else {
        return octets.to_vec();
    };
    let written = message.encode();
    let again = Message::decode(&written);
    if message.options.get(code::OVERLOAD).is_none() {
        assert_eq!(
            again.as_ref(),
            Ok(&message),
            "what was read and written is read the same"
        );
    }
    if choice & 0x80 != 0 {
        message.transaction = asked;
        message.hardware = HARDWARE;
    }
    message.encode()
}
