//! Who a client says it is: keys of the data plane. Only their SHA-256 is kept, and all of them are
//! compared whichever one matches, so that neither memory nor time reveals a key.

use sha2::{Digest, Sha256};
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};

use super::allowance::Allowance;

/// Shorter keys are guessed too easily.
const CHARS_MIN: usize = 16;
const CHARS_MAX: usize = 512;
const NAME_CHARS_MAX: usize = 64;

/// One key: whose it is, what it hashes to, and what it opens.
#[derive(Clone, PartialEq, Eq)]
pub struct Key {
    name: String,
    sha256: [u8; 32],
    allowance: Allowance,
}

/// Never shows the hash.
impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Key").field(&self.name).finish()
    }
}

/// A key that can't be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// A name that could not be logged as it is.
    #[error("a key's name has 1 to {NAME_CHARS_MAX} letters, digits, '.', '_' and '-'")]
    Name,
    /// A key that protects nothing or can't be sent.
    #[error(
        "a key has {CHARS_MIN} to {CHARS_MAX} visible ASCII characters; make one with `openssl rand -hex 32`"
    )]
    Key,
    /// A hash that is none.
    #[error("a sha256 has 64 hexadecimal digits; `printf %s \"$KEY\" | sha256sum` prints it")]
    Sha256,
}

impl Key {
    /// A key as clients send it.
    ///
    /// # Errors
    /// A name or a key out of bounds.
    pub fn new(name: &str, key: &str) -> Result<Self, KeyError> {
        let fit = (CHARS_MIN..=CHARS_MAX).contains(&key.len());
        if !fit || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(KeyError::Key);
        }
        Ok(Self::of(named(name)?, Sha256::digest(key).into()))
    }

    /// A key by its SHA-256 in hexadecimal digits.
    ///
    /// # Errors
    /// A name or a hash that is none.
    pub fn hashed(name: &str, sha256: &str) -> Result<Self, KeyError> {
        Ok(Self::of(named(name)?, digest(sha256).ok_or(KeyError::Sha256)?))
    }

    fn of(name: String, sha256: [u8; 32]) -> Self {
        Self { name, sha256, allowance: Allowance::default() }
    }

    /// The same key, which opens no more than this.
    pub fn allowing(self, allowance: Allowance) -> Self {
        Self { allowance, ..self }
    }

    /// What it opens.
    pub fn allowance(&self) -> &Allowance {
        &self.allowance
    }

    /// Whose key it is.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether it opens what `other` opens.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.sha256 == other.sha256
    }
}

fn named(name: &str) -> Result<String, KeyError> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    let fit = (1..=NAME_CHARS_MAX).contains(&name.len()) && name.bytes().all(plain);
    fit.then(|| name.to_owned()).ok_or(KeyError::Name)
}

fn digest(hex: &str) -> Option<[u8; 32]> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let (pairs, []) = hex.as_bytes().as_chunks::<2>() else { return None };
    let bytes: Option<Vec<u8>> =
        pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?)).collect();
    bytes?.try_into().ok()
}

/// Which of these keys was given.
pub(super) fn owner(keys: &[Key], given: &[u8]) -> Option<usize> {
    let given: [u8; 32] = Sha256::digest(given).into();
    let (mut found, mut place) = (Choice::from(0), 0_u32);
    for (index, key) in (0_u32..).zip(keys) {
        let same = key.sha256.ct_eq(&given);
        place.conditional_assign(&index, same);
        found |= same;
    }
    bool::from(found).then_some(place as usize)
}

/// Whether two secrets are equal; the time it takes reveals neither where they differ nor how long
/// they are.
pub(super) fn same(given: &[u8], secret: &[u8]) -> bool {
    Sha256::digest(given).ct_eq(&Sha256::digest(secret)).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_known_by_itself_or_by_its_hash() {
        let hash = "6ca13d52ca70c883e0f0bb101e425a89e8624de51db2d2392593af6a84118090"; // abc123
        let keys = [
            Key::new("app", "sixteen-or-more-1").unwrap(),
            Key::hashed("web", hash).unwrap(),
            Key::hashed("upper", &"AB".repeat(32)).unwrap(),
        ];
        let check = |given: &[u8], expect| assert_eq!(owner(&keys, given), expect, "{given:?}");
        check(b"sixteen-or-more-1", Some(0));
        check(b"abc123", Some(1));
        for wrong in ["", "abc1234", "sixteen-or-more-", "sixteen-or-more-12", hash] {
            check(wrong.as_bytes(), None);
        }
        assert_eq!(owner(&[], b""), None);
    }

    #[test]
    fn what_protects_nothing_is_no_key() {
        assert_eq!(Key::new("a", "short"), Err(KeyError::Key));
        assert_eq!(Key::new("a", "with a space in the middle"), Err(KeyError::Key));
        assert_eq!(Key::new("a", &"x".repeat(513)), Err(KeyError::Key));
        for name in ["", "two words", "line\nfeed", &"x".repeat(65)] {
            assert_eq!(Key::new(name, "sixteen-or-more-1"), Err(KeyError::Name), "{name:?}");
        }
        for hash in ["", "ab", &"zz".repeat(32), &"ab".repeat(33), &"é".repeat(32)] {
            assert_eq!(Key::hashed("a", hash), Err(KeyError::Sha256), "{hash}");
        }
    }

    #[test]
    fn a_key_is_never_shown() {
        let key = Key::new("app", "sixteen-or-more-1").unwrap();
        assert_eq!(format!("{key:?}"), "Key(\"app\")");
    }

    #[test]
    fn secrets_are_equal_or_not() {
        assert!(same(b"correct-horse", b"correct-horse"));
        assert!(!same(b"correct-hors", b"correct-horse") && !same(b"", b"correct-horse"));
    }
}
