//! Octets as hexadecimal digits, for serde.

use serde::{Deserialize, Deserializer, Serializer, de};

use super::seal::{from_hex, hex};

pub(super) fn serialize<S: Serializer>(octets: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&hex(octets))
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    let digits = String::deserialize(deserializer)?;
    from_hex(&digits).ok_or_else(|| de::Error::custom("not hexadecimal"))
}
