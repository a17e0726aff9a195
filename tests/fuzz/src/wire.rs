use std::fmt::Debug;

use ike::wire::chain as payload_chain;
use ike::wire::v1;
use ike::wire::{
    AuthPayload, CertificatePayload, ConfigurationPayload, DecodeError, DeletePayload, EapPayload,
    FragmentPayload, Header, IdentificationPayload, KeyExchangePayload, Message, NoncePayload, NotifyPayload,
    Payload, SecurityAssociationPayload, SelectorsPayload, VendorIdPayload,
};

/// A whole datagram as it comes from port 500.
pub fn message(datagram: &[u8]) {
    let header = Header::decode(datagram);
    let Ok(message) = Message::decode(datagram) else {
        return;
    };
    assert_eq!(header, Ok(message.header), "the header is read the same alone");
    let mut written = message.encode();
    assert!(
        written.len() <= datagram.len(),
        "what is left out makes it no longer"
    );
    if let Some(Payload::Encrypted { bytes, .. }) = message.payloads.last() {
        assert!(datagram.ends_with(bytes), "SK's bytes are the datagram's last");
    }
    let again = Message::decode(&written);
    let again = again.map(|message| (message.encode(), message.payloads.len()));
    // What was decoded stays decodable, and writing it a second time changes nothing.
    assert_eq!(again, Ok((std::mem::take(&mut written), message.payloads.len())));
}

/// A whole datagram of IKEv1: in clear text, and what follows its header as it stands after decryption.
pub fn message_v1(datagram: &[u8]) {
    if let Ok(message) = v1::Message::decode(datagram) {
        let written = message.encode();
        assert!(written.len() <= datagram.len(), "nothing is made up");
        let again = v1::Message::decode(&written).map(|message| message.encode());
        assert_eq!(again, Ok(written), "writing it a second time changes nothing");
    }
    let (Ok(header), Some(body)) = (Header::decode(datagram), datagram.get(Header::LENGTH..)) else {
        return;
    };
    if let Ok((payloads, octets)) = v1::chain::decode(header.next_payload, body) {
        assert!(octets <= body.len(), "only what is there is read");
        let (first, written) = v1::chain::encode(&payloads);
        let again = v1::chain::decode(first, &written);
        let again = again.map(|(payloads, _)| v1::chain::encode(&payloads));
        assert_eq!(again, Ok((first, written)));
    }
}

/// The inside of SK: the type of the first payload, then the payloads.
pub fn chain(bytes: &[u8]) {
    let Some((first, bytes)) = bytes.split_first() else {
        return;
    };
    let Ok(payloads) = payload_chain::decode(*first, bytes) else {
        return;
    };
    assert!(
        payloads.len() <= payload_chain::MAX_PAYLOADS,
        "payloads are bounded"
    );
    let (first, written) = payload_chain::encode(&payloads);
    assert!(
        written.len() <= bytes.len(),
        "what is left out makes it no longer"
    );
    let again = payload_chain::decode(first, &written).map(|payloads| payload_chain::encode(&payloads));
    assert_eq!(
        again,
        Ok((first, written)),
        "writing it a second time changes nothing"
    );
}

/// The body of an SA payload.
pub fn security_association(body: &[u8]) {
    let Some(mut first) = stable(
        body,
        SecurityAssociationPayload::decode,
        SecurityAssociationPayload::encode,
    ) else {
        return;
    };
    assert!(!first.proposals.is_empty(), "an SA payload proposes something");
    for transform in first
        .proposals
        .iter_mut()
        .flat_map(|proposal| &mut proposal.transforms)
    {
        transform.unknown_attribute = false;
    }
    // Attributes that we do not know are not written; all the rest is.
    let mut written = Vec::new();
    first.encode(&mut written);
    assert_eq!(SecurityAssociationPayload::decode(&written), Ok(first));
}

/// The body of a TSi or TSr payload.
pub fn selectors(body: &[u8]) {
    let payload = stable(body, SelectorsPayload::decode, SelectorsPayload::encode);
    let Some(payload) = payload else { return };
    let promised = body.first().copied().map(usize::from);
    assert_eq!(
        Some(payload.selectors.len() + payload.unknown),
        promised,
        "each selector is kept or counted"
    );
}

/// The body of a Notify payload.
pub fn notify(body: &[u8]) {
    exact(body, NotifyPayload::decode, NotifyPayload::encode);
}

/// The body of a Delete payload.
pub fn delete(body: &[u8]) {
    stable(body, DeletePayload::decode, DeletePayload::encode);
}

/// The body of a CP payload.
pub fn configuration(body: &[u8]) {
    stable(body, ConfigurationPayload::decode, ConfigurationPayload::encode);
}

/// The payloads of few fields, chosen by the first octet.
pub fn payload(bytes: &[u8]) {
    let Some((choice, body)) = bytes.split_first() else {
        return;
    };
    match choice % 8 {
        0 => drop(stable(
            body,
            KeyExchangePayload::decode,
            KeyExchangePayload::encode,
        )),
        1 => drop(stable(
            body,
            IdentificationPayload::decode,
            IdentificationPayload::encode,
        )),
        2 => drop(exact(
            body,
            CertificatePayload::decode,
            CertificatePayload::encode,
        )),
        3 => drop(stable(body, AuthPayload::decode, AuthPayload::encode)),
        4 => drop(exact(body, NoncePayload::decode, NoncePayload::encode)),
        5 => drop(exact(body, VendorIdPayload::decode, VendorIdPayload::encode)),
        6 => drop(exact(body, EapPayload::decode, EapPayload::encode)),
        _ => drop(exact(
            body,
            |body| FragmentPayload::decode(33, body),
            FragmentPayload::encode,
        )),
    }
}

/// Written and read again, the payload is written the same and no longer than it came.
fn stable<T: Debug + PartialEq>(
    body: &[u8],
    decode: fn(&[u8]) -> Result<T, DecodeError>,
    encode: fn(&T, &mut Vec<u8>),
) -> Option<T> {
    let payload = decode(body).ok()?;
    let (mut once, mut twice) = (Vec::new(), Vec::new());
    encode(&payload, &mut once);
    assert!(once.len() <= body.len(), "what is left out makes it no longer");
    let again = decode(&once).inspect(|again| encode(again, &mut twice));
    assert!(again.is_ok(), "what was written is readable: {again:?}");
    assert_eq!(once, twice);
    Some(payload)
}

/// As [`stable`], for payloads that have no reserved octets: the bytes come back as they were.
fn exact<T: Debug + PartialEq>(
    body: &[u8],
    decode: fn(&[u8]) -> Result<T, DecodeError>,
    encode: fn(&T, &mut Vec<u8>),
) -> Option<T> {
    let payload = stable(body, decode, encode)?;
    let mut written = Vec::new();
    encode(&payload, &mut written);
    assert_eq!(written, body);
    Some(payload)
}
