//! Who may bring components: Ed25519 signatures, in the files that minisign writes, against the keys that the operator
//! trusts. Without keys nothing has to be signed.

use std::fmt;

use minisign_verify::{PublicKey, Signature};

use crate::PolicyError;

/// Public keys, any of which will do.
#[derive(Clone, Default)]
pub struct SigningKeys(Vec<(String, PublicKey)>);

/// Where a component comes from.
#[derive(Debug, Clone, Copy)]
pub enum Provenance<'a> {
    /// From outside, with the text of its signature where there is one.
    Outside(Option<&'a str>),
    /// Out of this program itself, whose owner is trusted anyway.
    BuiltIn,
}

impl SigningKeys {
    /// Reads keys as the second line of minisign's `.pub` files has them.
    ///
    /// # Errors
    /// The one that is no key.
    pub fn parse<'t>(texts: impl IntoIterator<Item = &'t str>) -> Result<Self, String> {
        let key = |text: &str| match PublicKey::from_base64(text.trim()) {
            Ok(key) => Ok((text.trim().to_owned(), key)),
            Err(_) => Err(text.to_owned()),
        };
        texts.into_iter().map(key).collect::<Result<_, _>>().map(Self)
    }

    /// Lets a component through that has to be signed and is, or that need not be.
    pub(crate) fn check(
        &self,
        name: &str,
        component: &[u8],
        source: Provenance<'_>,
    ) -> Result<(), PolicyError> {
        let Provenance::Outside(signature) = source else { return Ok(()) };
        if self.0.is_empty() {
            return Ok(());
        }
        let unsigned = |problem| PolicyError::Unsigned { name: name.to_owned(), problem };
        let Some(signature) = signature else { return Err(unsigned("it has no signature")) };
        let signature = Signature::decode(signature)
            .map_err(|_| unsigned("what came as its signature is none of minisign's"))?;
        let fits =
            |(_, key): &(String, PublicKey)| key.verify(component, &signature, false).is_ok();
        if self.0.iter().any(fits) {
            return Ok(());
        }
        Err(unsigned("its signature is of other bytes, or of a key that is not trusted here"))
    }
}

impl PartialEq for SigningKeys {
    fn eq(&self, other: &Self) -> bool {
        self.0.iter().map(|(text, _)| text).eq(other.0.iter().map(|(text, _)| text))
    }
}

impl fmt::Debug for SigningKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(text, _)| text)).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use minisign::KeyPair;

    use super::*;

    fn signed(pair: &KeyPair, component: &[u8]) -> String {
        let signature = minisign::sign(None, &pair.sk, Cursor::new(component), None, None);
        signature.unwrap().into_string()
    }

    #[test]
    fn what_is_not_signed_by_a_trusted_key_is_refused_and_why() {
        let (ours, theirs) = (
            KeyPair::generate_unencrypted_keypair().unwrap(),
            KeyPair::generate_unencrypted_keypair().unwrap(),
        );
        let other = KeyPair::generate_unencrypted_keypair().unwrap();
        let trusted = [ours.pk.to_base64(), other.pk.to_base64()];
        let keys = SigningKeys::parse(trusted.iter().map(String::as_str)).unwrap();
        let check = |component: &[u8], source: Provenance<'_>, expect: &str| {
            let found = keys.check("guard", component, source).err();
            let found = found.map_or(String::new(), |error| error.to_string());
            assert!(found.contains(expect) && found.is_empty() == expect.is_empty(), "{found}");
        };
        let component = b"a component";
        check(component, Provenance::Outside(Some(&signed(&ours, component))), "");
        check(component, Provenance::Outside(Some(&signed(&other, component))), "");
        check(component, Provenance::BuiltIn, "");
        check(component, Provenance::Outside(None), "it has no signature");
        check(component, Provenance::Outside(Some("untrusted comment: x")), "none of minisign's");
        check(
            component,
            Provenance::Outside(Some(&signed(&theirs, component))),
            "not trusted here",
        );
        check(b"another", Provenance::Outside(Some(&signed(&ours, component))), "of other bytes");
        let forged = signed(&ours, component).replace("trusted comment: ", "trusted comment: x");
        check(component, Provenance::Outside(Some(&forged)), "of other bytes");
    }

    #[test]
    fn without_keys_nothing_has_to_be_signed_and_what_is_no_key_is_named() {
        let none = SigningKeys::default();
        assert!(none.check("guard", b"x", Provenance::Outside(None)).is_ok());
        assert_eq!(SigningKeys::parse(["RWQno"]).unwrap_err(), "RWQno");
    }
}
