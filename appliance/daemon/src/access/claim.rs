use aws_lc_rs::constant_time;
use aws_lc_rs::rand;
use secrecy::{ExposeSecret, SecretString};

use crate::store::StoreError;

/// Letters and digits that nobody takes for each other.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
/// 16 of them: 80 bits.
const LENGTH: usize = 16;
const GROUP: usize = 4;

/// What whoever sees the console knows, and nobody else: with it the first admin is made.
#[derive(Debug)]
pub(super) struct Code(SecretString);

impl Code {
    /// A new one.
    pub(super) fn new() -> Result<Self, StoreError> {
        let mut octets = [0; LENGTH];
        rand::fill(&mut octets).map_err(|_| StoreError::Randomness)?;
        let letter = |octet: &u8| ALPHABET.get(usize::from(octet % 32)).copied().map(char::from);
        Ok(Self(SecretString::from(
            octets.iter().filter_map(letter).collect::<String>(),
        )))
    }

    /// In groups, as it is shown.
    pub(super) fn shown(&self) -> SecretString {
        let letters: Vec<char> = self.0.expose_secret().chars().collect();
        let groups: Vec<String> = letters
            .chunks(GROUP)
            .map(|group| group.iter().collect())
            .collect();
        groups.join("-").into()
    }

    /// Whether this is it, however it was typed.
    pub(super) fn is(&self, typed: &str) -> bool {
        let plain = |letter: char| match letter.to_ascii_uppercase() {
            'O' => Some('0'),
            'I' | 'L' => Some('1'),
            letter if letter.is_ascii_alphanumeric() => Some(letter),
            _ => None,
        };
        let plain: SecretString = typed
            .chars()
            .take(64)
            .filter_map(plain)
            .collect::<String>()
            .into();
        let (plain, code) = (plain.expose_secret().as_bytes(), self.0.expose_secret());
        constant_time::verify_slices_are_equal(plain, code.as_bytes()).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_read_however_it_is_typed_and_another_one_is_not() {
        let code = Code::new().unwrap();
        let shown = code.shown().expose_secret().to_owned();
        assert_eq!(
            (shown.len(), shown.split('-').count()),
            (LENGTH + 3, 4),
            "{shown}"
        );
        assert!(code.is(&shown) && code.is(&shown.to_lowercase()) && code.is(&shown.replace('-', " ")));
        assert!(code.is(&shown.replace('0', "o").replace('1', "l")));
        assert!(!code.is("") && !code.is(shown.split_at(1).1) && !code.is(&format!("{shown}0")));
        assert!(!code.is(Code::new().unwrap().shown().expose_secret()));
    }
}
