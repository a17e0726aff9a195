//! Netlink framing and the extended acknowledgement, as bytes.

use netlink_packet_core::{
    NLM_F_ACK, NLM_F_ACK_TLVS, NLM_F_CAPPED, NLM_F_DUMP_INTR, NLM_F_REQUEST, NLMSG_DONE, NLMSG_ERROR,
    NetlinkSerializable, NlasIterator,
};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_xfrm::XfrmMessage;
use netlink_packet_xfrm::constants::{
    XFRM_MSG_DELPOLICY, XFRM_MSG_DELSA, XFRM_MSG_NEWPOLICY, XFRM_MSG_NEWSA, XFRM_MSG_UPDPOLICY,
    XFRMA_ALG_AEAD, XFRMA_ALG_AUTH_TRUNC, XFRMA_ALG_CRYPT, XFRMA_ENCAP, XFRMA_IF_ID, XFRMA_REPLAY_ESN_VAL,
    XFRMA_TMPL,
};
use zeroize::Zeroizing;

/// Length of a netlink header.
const HEADER: usize = 16;
const TEXT: u16 = 1;
const OFFSET: u16 = 2;
const MISSING_TYPE: u16 = 5;

/// Who the message is for: all number their messages alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// Links, addresses, routes.
    Route,
    /// States and policies.
    Xfrm,
    /// Connection tracking, and tables.
    Netfilter,
}

/// One message on its way to the kernel; wiped when dropped, since it may hold keys.
#[derive(Clone)]
pub(crate) struct Outgoing {
    protocol: Protocol,
    kind: u16,
    flags: u16,
    body: Zeroizing<Vec<u8>>,
}

/// One message of the kernel.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Incoming<'a> {
    pub(crate) kind: u16,
    pub(crate) flags: u16,
    pub(crate) sequence: u32,
    /// The socket that asked for it, or for what it reports; 0 is the kernel itself.
    pub(crate) port: u32,
    pub(crate) body: &'a [u8],
}

/// How a request ended.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Failure {
    /// The error number, positive.
    pub(crate) errno: i32,
    /// The kernel's own words.
    pub(crate) text: Option<String>,
    /// The attribute at fault.
    pub(crate) attribute: Option<String>,
}

impl Outgoing {
    /// A message about a link, an address or a route.
    pub(crate) fn route(message: &RouteNetlinkMessage, flags: u16) -> Self {
        Outgoing::new(Protocol::Route, message, flags)
    }

    /// A message about a state or a policy.
    pub(crate) fn xfrm(message: &XfrmMessage, flags: u16) -> Self {
        Outgoing::new(Protocol::Xfrm, message, flags)
    }

    /// A message about flows or tables, its body as it is sent.
    pub(crate) fn netfilter(kind: u16, body: Vec<u8>, flags: u16) -> Self {
        Outgoing {
            protocol: Protocol::Netfilter,
            kind,
            flags,
            body: Zeroizing::new(body),
        }
    }

    fn new(protocol: Protocol, message: &impl NetlinkSerializable, flags: u16) -> Self {
        let mut body = Zeroizing::new(vec![0; message.buffer_len()]);
        message.serialize(&mut body);
        Outgoing {
            protocol,
            kind: message.message_type(),
            flags,
            body,
        }
    }

    /// Who the message is for.
    pub(crate) fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// The bytes to send, with an acknowledgement asked for.
    pub(crate) fn frame(&self, sequence: u32) -> Zeroizing<Vec<u8>> {
        let mut frame = Zeroizing::new(Vec::with_capacity(HEADER + self.body.len()));
        self.append(&mut frame, sequence, NLM_F_ACK);
        frame
    }

    /// Puts the bytes behind those of other messages.
    pub(crate) fn append(&self, frame: &mut Vec<u8>, sequence: u32, acknowledge: u16) {
        frame.resize(frame.len().next_multiple_of(4), 0);
        let length = u32::try_from(HEADER + self.body.len()).unwrap_or(u32::MAX);
        frame.extend_from_slice(&length.to_ne_bytes());
        frame.extend_from_slice(&self.kind.to_ne_bytes());
        frame.extend_from_slice(&(self.flags | NLM_F_REQUEST | acknowledge).to_ne_bytes());
        frame.extend_from_slice(&sequence.to_ne_bytes());
        frame.extend_from_slice(&0u32.to_ne_bytes());
        frame.extend_from_slice(&self.body);
    }

    /// Which attribute of this message lies at an offset that the kernel pointed to.
    fn attribute_at(&self, offset: u32) -> Option<String> {
        let target = usize::try_from(offset).ok()?.checked_sub(HEADER)?;
        let mut start = fixed_length(self.protocol, self.kind)?;
        let attributes = self.body.get(start..)?;
        for attribute in NlasIterator::new(attributes) {
            let attribute = attribute.ok()?;
            let end = start.checked_add(usize::from(attribute.length()).next_multiple_of(4))?;
            if target < end {
                return (start <= target).then(|| attribute_name(self.protocol, self.kind, attribute.kind()));
            }
            start = end;
        }
        None
    }
}

impl<'a> Incoming<'a> {
    /// Cuts the first message off; `None` at the end, or when the rest is no message.
    pub(crate) fn cut(bytes: &mut &'a [u8]) -> Option<Self> {
        let length = usize::try_from(word(bytes, 0)?).ok()?;
        let kinds = word(bytes, 4)?.to_ne_bytes();
        let [kind_low, kind_high, flags_low, flags_high] = kinds;
        let sequence = word(bytes, 8)?;
        let port = word(bytes, 12)?;
        let body = bytes.get(HEADER..length)?;
        *bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(Incoming {
            kind: u16::from_ne_bytes([kind_low, kind_high]),
            flags: u16::from_ne_bytes([flags_low, flags_high]),
            sequence,
            port,
            body,
        })
    }

    /// Whether it ends the answer to a request, and how. The two ends of an answer are the acknowledgement and
    /// the end of a dump.
    pub(crate) fn end(&self, request: &Outgoing) -> Option<Result<(), Failure>> {
        if self.kind != NLMSG_ERROR && self.kind != NLMSG_DONE {
            return None;
        }
        let code = word(self.body, 0).map_or(0, |word| i32::from_ne_bytes(word.to_ne_bytes()));
        if code >= 0 {
            return Some(Ok(()));
        }
        let mut failure = Failure {
            errno: code.saturating_neg(),
            ..Failure::default()
        };
        if self.flags & NLM_F_ACK_TLVS != 0 {
            let skipped = if self.kind == NLMSG_DONE { 4 } else { self.quoted() };
            self.explain(skipped, request, &mut failure);
        }
        Some(Err(failure))
    }

    /// Length of error number and quoted request, before the extended acknowledgement.
    fn quoted(&self) -> usize {
        let whole = word(self.body, 4)
            .and_then(|length| usize::try_from(length).ok())
            .unwrap_or(HEADER);
        let quoted = if self.flags & NLM_F_CAPPED == 0 {
            whole
        } else {
            HEADER
        };
        quoted.saturating_add(4).next_multiple_of(4)
    }

    fn explain(&self, skipped: usize, request: &Outgoing, failure: &mut Failure) {
        for attribute in NlasIterator::new(self.body.get(skipped..).unwrap_or_default()).flatten() {
            match attribute.kind() {
                TEXT => {
                    let text = String::from_utf8_lossy(attribute.value());
                    failure.text = Some(text.trim_end_matches('\0').to_owned());
                }
                OFFSET => {
                    failure.attribute =
                        word(attribute.value(), 0).and_then(|offset| request.attribute_at(offset));
                }
                MISSING_TYPE => {
                    failure.attribute = word(attribute.value(), 0)
                        .and_then(|kind| u16::try_from(kind).ok())
                        .map(|kind| attribute_name(request.protocol, request.kind, kind));
                }
                _ => (),
            }
        }
    }

    /// Whether a dump was disturbed, so that it may have missed something.
    pub(crate) fn is_interrupted(&self) -> bool {
        self.flags & NLM_F_DUMP_INTR != 0
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    bytes
        .get(at..at.checked_add(4)?)?
        .try_into()
        .ok()
        .map(u32::from_ne_bytes)
}

/// Length of the structure before the attributes, by type of message.
fn fixed_length(protocol: Protocol, kind: u16) -> Option<usize> {
    match (protocol, kind) {
        (Protocol::Route, 16..=19) => Some(16),
        (Protocol::Route, 20..=23) => Some(8),
        (Protocol::Route, 24..=27) => Some(12),
        (Protocol::Xfrm, XFRM_MSG_NEWSA) => Some(224),
        (Protocol::Xfrm, XFRM_MSG_DELSA) => Some(24),
        (Protocol::Xfrm, XFRM_MSG_NEWPOLICY | XFRM_MSG_UPDPOLICY) => Some(168),
        (Protocol::Xfrm, XFRM_MSG_DELPOLICY) => Some(64),
        (Protocol::Netfilter, _) => Some(4),
        (Protocol::Route | Protocol::Xfrm, _) => None,
    }
}

/// The kernel's name of an attribute that we send.
fn attribute_name(protocol: Protocol, message: u16, attribute: u16) -> String {
    let name = match (protocol, message, attribute) {
        (Protocol::Route, 16..=19, 3) => "IFLA_IFNAME",
        (Protocol::Route, 16..=19, 4) => "IFLA_MTU",
        (Protocol::Route, 16..=19, 5) => "IFLA_LINK",
        (Protocol::Route, 16..=19, 18) => "IFLA_LINKINFO",
        (Protocol::Route, 16..=19, 20) => "IFLA_IFALIAS",
        (Protocol::Route, 20..=23, 1) => "IFA_ADDRESS",
        (Protocol::Route, 20..=23, 2) => "IFA_LOCAL",
        (Protocol::Route, 20..=23, 8) => "IFA_FLAGS",
        (Protocol::Route, 20..=23, 11) => "IFA_PROTO",
        (Protocol::Route, 24..=27, 1) => "RTA_DST",
        (Protocol::Route, 24..=27, 4) => "RTA_OIF",
        (Protocol::Route, 24..=27, 5) => "RTA_GATEWAY",
        (Protocol::Route, 24..=27, 6) => "RTA_PRIORITY",
        (Protocol::Route, 24..=27, 7) => "RTA_PREFSRC",
        (Protocol::Xfrm, _, XFRMA_ALG_CRYPT) => "XFRMA_ALG_CRYPT",
        (Protocol::Xfrm, _, XFRMA_ENCAP) => "XFRMA_ENCAP",
        (Protocol::Xfrm, _, XFRMA_TMPL) => "XFRMA_TMPL",
        (Protocol::Xfrm, _, XFRMA_ALG_AEAD) => "XFRMA_ALG_AEAD",
        (Protocol::Xfrm, _, XFRMA_ALG_AUTH_TRUNC) => "XFRMA_ALG_AUTH_TRUNC",
        (Protocol::Xfrm, _, XFRMA_REPLAY_ESN_VAL) => "XFRMA_REPLAY_ESN_VAL",
        (Protocol::Xfrm, _, XFRMA_IF_ID) => "XFRMA_IF_ID",
        (Protocol::Netfilter, _, 8) => "CTA_MARK",
        (Protocol::Netfilter, _, 21) => "CTA_MARK_MASK",
        (Protocol::Route | Protocol::Xfrm | Protocol::Netfilter, _, _) => {
            return format!("number {attribute}");
        }
    };
    name.to_owned()
}

#[cfg(test)]
mod tests {
    use netlink_packet_route::link::{LinkAttribute, LinkMessage};

    use super::*;

    fn request() -> Outgoing {
        let mut message = LinkMessage::default();
        message.attributes = vec![LinkAttribute::IfName("cw-a".into()), LinkAttribute::Mtu(10)];
        Outgoing::route(&RouteNetlinkMessage::NewLink(message), 0)
    }

    fn refusal(flags: u16, body: &[u8]) -> Vec<u8> {
        let mut bytes = vec![];
        bytes.extend(u32::try_from(HEADER + body.len()).unwrap().to_ne_bytes());
        bytes.extend(NLMSG_ERROR.to_ne_bytes());
        bytes.extend(flags.to_ne_bytes());
        bytes.extend(7u32.to_ne_bytes());
        bytes.extend(0u32.to_ne_bytes());
        bytes.extend(body);
        bytes
    }

    /// The kernel's words and the attribute it points to come out of an extended acknowledgement.
    #[test]
    fn extended_acknowledgements_are_read() {
        let mut body = vec![];
        body.extend((-libc::EINVAL).to_ne_bytes());
        body.extend([0; HEADER]);
        // The name's attribute is 4 + 5 octets, padded to 12; so the MTU stands at 16 + 16 + 12.
        body.extend([8, 0, 2, 0]);
        body.extend(44u32.to_ne_bytes());
        body.extend([9, 0, 1, 0]);
        body.extend(b"oops\0\0\0\0");
        let bytes = refusal(NLM_F_CAPPED | NLM_F_ACK_TLVS, &body);
        let answer = Incoming::cut(&mut &bytes[..]).unwrap();
        assert_eq!(answer.sequence, 7);
        let failure = Failure {
            errno: libc::EINVAL,
            text: Some("oops".into()),
            attribute: Some("IFLA_MTU".into()),
        };
        assert_eq!(answer.end(&request()), Some(Err(failure)));
    }

    /// An acknowledgement is an error number of zero.
    #[test]
    fn zero_is_granted() {
        let bytes = refusal(NLM_F_CAPPED, &[0; 4 + HEADER]);
        assert_eq!(
            Incoming::cut(&mut &bytes[..]).unwrap().end(&request()),
            Some(Ok(()))
        );
    }

    /// Whatever the bytes, cutting and explaining end without a panic.
    #[test]
    fn hostile_bytes_are_no_messages() {
        use proptest::prelude::*;
        proptest!(|(bytes in proptest::collection::vec(any::<u8>(), 0..120))| {
            let mut rest = &bytes[..];
            let mut last = rest.len() + 1;
            while let Some(message) = Incoming::cut(&mut rest) {
                let _ = message.end(&request());
                prop_assert!(rest.len() < last);
                last = rest.len();
            }
            let framed = refusal(NLM_F_ACK_TLVS, &bytes);
            let _ = Incoming::cut(&mut &framed[..]).map(|message| message.end(&request()));
        });
    }
}
