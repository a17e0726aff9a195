use super::Name;
use crate::Reason;
use crate::reader::{Value, shown};

/// A secret that a quantum computer cannot find (RFC 8784).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PostQuantumPresharedKey {
    /// What both sides call it.
    pub id: String,
    /// The name of the secret.
    pub secret: Name,
    /// Whether there is no tunnel without it.
    pub required: bool,
}

/// The longest name of a post-quantum preshared key, in octets.
pub(crate) const LONGEST_ID: usize = 255;

impl PostQuantumPresharedKey {
    pub(super) fn read(value: &Value<'_>) -> Option<Self> {
        let mut object = value.object()?;
        let id = object.required("id", ppk_id);
        let secret = object.required("secret", Value::name);
        let required = object.optional("required", true, Value::boolean);
        Some(Self {
            id: id?,
            secret: secret?,
            required: required?,
        })
    }
}

fn ppk_id(value: &Value<'_>) -> Option<String> {
    let text = value.text()?;
    let fits = (1..=LONGEST_ID).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
    if !fits {
        let detail = format!(
            "\"{}\": expected 1 to {LONGEST_ID} printable ASCII characters without spaces",
            shown(text)
        );
        value.problem(Reason::InvalidIdentity, detail);
    }
    fits.then(|| text.to_owned())
}
