use bgp::wire::error::Treatment;
use bgp::wire::framing::{Framing, MessageKind};
use bgp::wire::notification::Notification;
use bgp::wire::open::Open;
use bgp::wire::refresh::Refresh;
use bgp::wire::update::{Context, Decoder, Update, WriteContext, announce};
use bgp::{Families, Family};

/// What follows the header of a BGP message; the first octet chooses the message, or a stream of them, the second what the
/// session agreed on.
pub fn bgp_message(bytes: &[u8]) {
    let [choice, agreed, body @ ..] = bytes else {
        return;
    };
    match choice % 5 {
        0 => stream(body, *agreed),
        1 => message(MessageKind::Open, body, *agreed),
        2 => message(MessageKind::Update, body, *agreed),
        3 => message(MessageKind::Notification, body, *agreed),
        _ => message(MessageKind::RouteRefresh, body, *agreed),
    }
}

/// As many messages as the octets hold, and the same however they are cut.
fn stream(octets: &[u8], agreed: u8) {
    let extended = agreed & 1 == 0;
    let cut = |size: usize| {
        let (mut framing, mut all) = (Framing::new(), Vec::new());
        for piece in octets.chunks(size) {
            framing.push(piece);
            loop {
                match framing.next(extended) {
                    Ok(Some(frame)) => all.push((frame.kind, frame.body.to_vec())),
                    Ok(None) => break,
                    Err(notification) => return (all, Some(notification)),
                }
            }
            assert!(framing.waiting() < 65_535, "a message is never so long");
        }
        (all, None)
    };
    let (messages, refusal) = cut(octets.len().max(1));
    assert_eq!((messages.clone(), refusal), cut(1 + usize::from(agreed)));
    for (kind, body) in messages {
        message(kind, &body, agreed);
    }
}

fn message(kind: MessageKind, body: &[u8], agreed: u8) {
    match kind {
        MessageKind::Open => open(body),
        MessageKind::Update => update(body, agreed),
        MessageKind::Notification => notification(body),
        MessageKind::Keepalive => assert!(body.is_empty()),
        MessageKind::RouteRefresh => refresh(body, agreed & 1 == 0),
    }
}

/// The body of a message that we wrote, which is one and not too long.
fn body_of(message: &[u8], kind: MessageKind) -> Vec<u8> {
    let mut framing = Framing::new();
    framing.push(message);
    let Ok(Some(frame)) = framing.next(false) else {
        panic!("{message:02x?} is no message");
    };
    assert_eq!(frame.kind, kind);
    frame.body.to_vec()
}

fn open(body: &[u8]) {
    match Open::decode(body) {
        Ok(open) => {
            let capabilities = &open.capabilities;
            // We never have such a name, nor no family at all.
            let long = |name: &String| name.len() > 64;
            if capabilities.host_name.as_ref().is_some_and(long)
                || capabilities.families == Some(Families::NONE)
            {
                return;
            }
            let written = body_of(&open.encode(), MessageKind::Open);
            assert_eq!(Open::decode(&written), Ok(open));
        }
        Err(refusal) => assert_eq!(refusal.code, 2, "{refusal:?}"),
    }
}

fn notification(body: &[u8]) {
    let Ok(notification) = Notification::decode(body) else {
        return;
    };
    assert!(!notification.words().contains(char::is_control));
    assert!(!notification.reason().is_empty());
    let written = body_of(&notification.encode(), MessageKind::Notification);
    assert!(body.starts_with(&written));
}

fn refresh(body: &[u8], enhanced: bool) {
    let Ok(Some(refresh)) = Refresh::decode(body, enhanced) else {
        return;
    };
    let written = body_of(&refresh.encode(), MessageKind::RouteRefresh);
    assert_eq!(Refresh::decode(&written, enhanced), Ok(Some(refresh)));
}

fn families(bits: u8) -> Families {
    let chosen = [(Family::Ipv4, 1), (Family::Ipv6, 2)].into_iter();
    chosen
        .filter(|(_, bit)| bits & bit == 0)
        .map(|(family, _)| family)
        .collect()
}

/// What is read is bounded by what came, and is the same when it comes again.
fn update(body: &[u8], agreed: u8) {
    let context = Context {
        four_octet_asn: agreed & 1 == 0,
        families: families(agreed >> 1),
        add_path: families(!agreed >> 3),
        ipv6_next_hops: agreed & 32 == 0,
        internal: agreed & 64 != 0,
        first_asn: None,
        as_sets: agreed & 128 == 0,
    };
    let mut decoder = Decoder::new(context);
    let update = decoder.decode(body);
    let announced: usize = update.announced.iter().map(|(_, to)| to.len()).sum();
    assert!(announced + update.withdrawn.len() <= body.len());
    let reset = |treatment: &Treatment| matches!(treatment, Treatment::ResetSession(_));
    let has =
        |wanted: &dyn Fn(&Treatment) -> bool| update.faults.iter().any(|fault| wanted(&fault.treatment));
    assert!(!has(&reset) || update.announced.is_empty() && update.withdrawn.is_empty());
    assert!(!has(&|treatment| *treatment == Treatment::WithdrawRoutes) || update.announced.is_empty());
    // A family that was disabled is ignored from then on, and after a reset nothing comes.
    if !has(&reset) && !has(&|treatment| matches!(treatment, Treatment::DisableFamily(_))) {
        assert_eq!(decoder.decode(body), update);
    }
    written_again(&update, context);
}

/// What is announced can be written, and is then read the same.
fn written_again(update: &Update, context: Context) {
    let write = WriteContext {
        four_octet_asn: context.four_octet_asn,
        extended_messages: true,
    };
    for (attributes, destinations) in &update.announced {
        let (mut out, mut again) = (Vec::new(), Vec::new());
        let prefixes = destinations.iter().map(|to| to.prefix);
        if announce(attributes, &write, prefixes.clone(), &mut out).is_err() {
            continue;
        }
        let mut framing = Framing::new();
        framing.push(&out);
        let mut decoder = Decoder::new(Context {
            add_path: Families::NONE,
            ..context
        });
        while let Ok(Some(frame)) = framing.next(true) {
            for (came, destinations) in decoder.decode(frame.body).announced {
                assert_eq!(came, *attributes);
                again.extend(destinations.into_iter().map(|to| to.prefix));
            }
        }
        assert_eq!(again, prefixes.collect::<Vec<_>>());
    }
}
