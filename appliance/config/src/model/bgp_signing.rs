use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use super::Name;
use crate::Reason;
use crate::reader::{Object, Value};

/// How the segments of a BGP session are authenticated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BgpSigning {
    /// Not at all.
    None,
    /// With the key of this name (RFC 2385).
    Md5(Name),
    /// With the first of these keys; what is signed with another of them is taken, too (RFC 5925). Never empty.
    TcpAo(Vec<TcpAoKey>),
}

/// A master key tuple (RFC 5925 §3.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TcpAoKey {
    /// The name of the key.
    pub secret: Name,
    /// What our segments call it; the peer's receive id.
    pub send_id: u8,
    /// What the peer's segments call it; its send id.
    pub receive_id: u8,
    /// How traffic keys and codes are made of it.
    pub algorithm: TcpAoAlgorithm,
    /// TCP options are signed, too.
    pub sign_options: bool,
}

/// A key derivation function and a message authentication code of 96 bits (RFC 5926 §3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum TcpAoAlgorithm {
    /// RFC 5926 §3.1.1.1, §3.2.1.
    HmacSha1,
    /// RFC 5926 §3.1.1.2, §3.2.2.
    Aes128Cmac,
}

pub(crate) const ALGORITHM: &[(&str, TcpAoAlgorithm)] = &[
    ("hmac-sha1-96", TcpAoAlgorithm::HmacSha1),
    ("aes-128-cmac-96", TcpAoAlgorithm::Aes128Cmac),
];
/// What is done where the document leaves it open.
pub(crate) const DEFAULT_ALGORITHM: &str = "aes-128-cmac-96";
pub(crate) const SIGN_OPTIONS: bool = true;
/// What may be written.
pub(crate) const KEY_IDS: RangeInclusive<u64> = 0..=255;
/// Enough to take turns.
pub(crate) const MOST_KEYS: usize = 8;

impl BgpSigning {
    pub(super) fn read(object: &mut Object<'_>) -> Option<Self> {
        let md5 = object.optional("md5_secret", None, |value| value.name().map(Some));
        let written = object.take("tcp_ao");
        if let (Some(value), Some(Some(_)) | None) = (&written, &md5) {
            let detail = "md5_secret is there, too, and a segment has room for one signature: leave one out";
            value.problem(Reason::ConflictingKeys, detail);
            return None;
        }
        match (written, md5?) {
            (Some(value), _) => keys(&value).map(Self::TcpAo),
            (None, Some(secret)) => Some(Self::Md5(secret)),
            (None, None) => Some(Self::None),
        }
    }

    /// The names of its keys, and where they stand beside the other settings of a session.
    pub fn secrets(&self) -> Vec<(String, &Name)> {
        match self {
            Self::None => Vec::new(),
            Self::Md5(secret) => vec![("md5_secret".to_owned(), secret)],
            Self::TcpAo(keys) => {
                let keys = keys.iter().enumerate();
                keys.map(|(index, key)| (format!("tcp_ao/{index}/secret"), &key.secret))
                    .collect()
            }
        }
    }

    /// Whether a session that was signed so goes on when it is signed like `new`: keys of TCP-AO come and go beside one
    /// that stays (RFC 5925 §3.1, §6.1).
    pub(crate) fn goes_on_as(&self, new: &Self) -> bool {
        match (self, new) {
            (Self::TcpAo(old), Self::TcpAo(new)) => go_on(old, new),
            (old, new) => old == new,
        }
    }
}

fn go_on(old: &[TcpAoKey], new: &[TcpAoKey]) -> bool {
    let stays = |key: &TcpAoKey| new.contains(key);
    let meets = |key: &TcpAoKey, other: &TcpAoKey| {
        key != other && (key.send_id == other.send_id || key.receive_id == other.receive_id)
    };
    let changed = |key: &TcpAoKey| new.iter().any(|other| meets(key, other));
    old.iter().any(stays) && !old.iter().any(changed)
}

fn keys(value: &Value<'_>) -> Option<Vec<TcpAoKey>> {
    let keys = value.list(TcpAoKey::read)?;
    if keys.is_empty() || keys.len() > MOST_KEYS {
        let detail = format!("has {} keys; from 1 to {MOST_KEYS} are taken", keys.len());
        value.problem(Reason::OutOfRange, detail);
        return None;
    }
    let (mut sent, mut received) = (BTreeSet::new(), BTreeSet::new());
    for (index, key) in keys.iter().enumerate() {
        let twice = |what: &str, id: u8| {
            // RFC 5925 §3.1.
            let detail = format!("{what} {id} is that of another key here, and each needs its own");
            value.element_problem(index, Reason::DuplicateKeyId, &detail);
        };
        if !sent.insert(key.send_id) {
            twice("send_id", key.send_id);
            return None;
        }
        if !received.insert(key.receive_id) {
            twice("receive_id", key.receive_id);
            return None;
        }
    }
    Some(keys)
}

impl TcpAoAlgorithm {
    /// What Linux calls it.
    pub fn kernel_name(self) -> &'static str {
        match self {
            Self::HmacSha1 => "hmac(sha1)",
            Self::Aes128Cmac => "cmac(aes128)",
        }
    }
}

impl TcpAoKey {
    fn read(value: &Value<'_>) -> Option<Self> {
        let mut object = value.object()?;
        let secret = object.required("secret", Value::name);
        let send_id = object.required("send_id", |value| value.whole(KEY_IDS));
        let receive_id = object.required("receive_id", |value| value.whole(KEY_IDS));
        let algorithm = object.optional("algorithm", TcpAoAlgorithm::Aes128Cmac, |value| {
            value.word(ALGORITHM, &[])
        });
        let sign_options = object.optional("sign_options", SIGN_OPTIONS, Value::boolean);
        Some(Self {
            secret: secret?,
            send_id: send_id?,
            receive_id: receive_id?,
            algorithm: algorithm?,
            sign_options: sign_options?,
        })
    }
}
