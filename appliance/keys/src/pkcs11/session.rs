//! A session with a token, and what it finds there.

use cryptoki::error::Error;
use cryptoki::object::{Attribute, AttributeType, CertificateType, ObjectClass, ObjectHandle};
use cryptoki::session::Session;
use secrecy::SecretString;
use x509_cert::der::Encode;
use x509_cert::der::asn1::{AnyRef, BitStringRef, ObjectIdentifier, OctetStringRef, UintRef};
use x509_cert::der::{Decode, asn1::Null};
use x509_cert::spki::{AlgorithmIdentifierRef, SubjectPublicKeyInfoRef};

use super::failure::Failure;
use super::mechanism;
use super::module::{InUse, Module};
use crate::chain;
use crate::error::KeyError;
use crate::evp::Evp;
use crate::provider::Scheme;
use crate::uri::Pkcs11Uri;

/// rsaEncryption (RFC 8017 appendix A.1).
const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
/// id-ecPublicKey (RFC 5480 §2.1.1).
const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");

/// A session that is logged in, and the private key there.
pub(super) struct TokenSession {
    session: Session,
    key: ObjectHandle,
    /// Of the module's initialization.
    pub(super) generation: u64,
}

/// What a token says about a key besides signing with it.
pub(super) struct Found {
    /// The public key.
    pub(super) public: Evp,
    /// SubjectPublicKeyInfo in DER.
    pub(super) info: Vec<u8>,
    /// Certificates, that of the key first.
    pub(super) chain: Vec<Vec<u8>>,
}

impl TokenSession {
    /// Opens a session with the token that a URI names, logs in and finds the private key.
    pub(super) fn open(
        module: &Module,
        in_use: &InUse<'_>,
        uri: &Pkcs11Uri,
        pin: Option<&SecretString>,
    ) -> Result<Self, Failure> {
        let context = &in_use.module;
        let slot = in_use.slot(uri)?;
        let fail = |error: Error| Failure::of(&error, &format!("{}, opening", uri.module_path.display()));
        let session = context.open_ro_session_no_drop(slot).map_err(fail)?;
        let key = module
            .log_in(context, slot, &session, pin)
            .and_then(|()| private_key(&session, uri));
        match key {
            Ok(key) => Ok(Self {
                session,
                key,
                generation: in_use.generation,
            }),
            Err(failure) => {
                let _ = session.close();
                Err(failure)
            }
        }
    }

    /// Closes it, if it is not of an initialization of before: its number may be another session's now.
    pub(super) fn close(self, in_use: &InUse<'_>) {
        if self.generation == in_use.generation {
            let _ = self.session.close();
        }
    }

    /// Signs a message.
    pub(super) fn sign(&self, scheme: Scheme, message: &[u8], whose: &str) -> Result<Vec<u8>, Failure> {
        let (mechanism, octets) = mechanism::prepared(scheme, message);
        let signature = self.session.sign(&mechanism, self.key, &octets);
        signature.map_err(|error| Failure::of(&error, &format!("{whose}, {scheme}")))
    }

    /// What else there is about the key: its public half and certificates of the same `CKA_ID`.
    pub(super) fn describe(&self, whose: &str) -> Result<Found, Failure> {
        let fail = |error: Error| Failure::of(&error, &format!("{whose}, reading its public key"));
        let attributes = [AttributeType::Id, AttributeType::AlwaysAuthenticate];
        let mut id = Vec::new();
        for attribute in self.session.get_attributes(self.key, &attributes).map_err(fail)? {
            match attribute {
                Attribute::Id(octets) => id = octets,
                Attribute::AlwaysAuthenticate(true) => {
                    let each = format!("{whose} asks for its PIN at each signature");
                    return Err(Failure::lasting(KeyError::KeyWrongKind(each)));
                }
                _ => (),
            }
        }
        let certificates = self.certificates(&id, whose)?;
        let of_certificate = || certificates.first().and_then(|one| chain::public_key(one));
        let public = self.public_key(&id).map_err(fail)?;
        let found = public.or_else(|| of_certificate().map(|(_, public)| public));
        let found = found.and_then(|public| Some((public.public()?, public)));
        let none = || {
            KeyError::KeyMissing(format!(
                "{whose} has neither a public key nor a certificate with it"
            ))
        };
        let (info, public) = found.ok_or_else(none).map_err(Failure::lasting)?;
        let chain = chain::ordered(certificates, &info, whose).map_err(Failure::lasting)?;
        Ok(Found { public, info, chain })
    }

    /// Certificates with the same `CKA_ID`, and then the others, which may be those of authorities.
    fn certificates(&self, id: &[u8], whose: &str) -> Result<Vec<Vec<u8>>, Failure> {
        let fail = |error: Error| Failure::of(&error, &format!("{whose}, reading its certificates"));
        let template = [
            Attribute::Class(ObjectClass::CERTIFICATE),
            Attribute::CertificateType(CertificateType::X_509),
        ];
        let (mut own, mut others) = (Vec::new(), Vec::new());
        for object in self.session.find_objects(&template).map_err(fail)? {
            let attributes = [AttributeType::Id, AttributeType::Value];
            let (mut is_own, mut value) = (false, Vec::new());
            for attribute in self.session.get_attributes(object, &attributes).map_err(fail)? {
                match attribute {
                    Attribute::Id(octets) => is_own = !id.is_empty() && octets == id,
                    Attribute::Value(octets) => value = octets,
                    _ => (),
                }
            }
            let list = if is_own { &mut own } else { &mut others };
            list.push(value);
        }
        if !own.is_empty() {
            own.append(&mut others);
        }
        Ok(own)
    }

    /// The public half: what the private key's own attributes say, or a public key with the same `CKA_ID`.
    fn public_key(&self, id: &[u8]) -> Result<Option<Evp>, Error> {
        let of_private = self.public_parts(self.key)?;
        if of_private.is_some() || id.is_empty() {
            return Ok(of_private);
        }
        let template = [
            Attribute::Class(ObjectClass::PUBLIC_KEY),
            Attribute::Id(id.to_vec()),
        ];
        for object in self.session.find_objects(&template)? {
            if let Some(public) = self.public_parts(object)? {
                return Ok(Some(public));
            }
        }
        Ok(None)
    }

    /// The public key that attributes of an object make.
    fn public_parts(&self, object: ObjectHandle) -> Result<Option<Evp>, Error> {
        let attributes = [
            AttributeType::Modulus,
            AttributeType::PublicExponent,
            AttributeType::EcParams,
            AttributeType::EcPoint,
        ];
        let (mut modulus, mut exponent, mut curve, mut point) = (None, None, None, None);
        for attribute in self.session.get_attributes(object, &attributes)? {
            match attribute {
                Attribute::Modulus(octets) => modulus = Some(octets),
                Attribute::PublicExponent(octets) => exponent = Some(octets),
                Attribute::EcParams(octets) => curve = Some(octets),
                Attribute::EcPoint(octets) => point = Some(octets),
                _ => (),
            }
        }
        let rsa = modulus.zip(exponent).and_then(|(n, e)| rsa(&n, &e));
        let info = rsa.or_else(|| curve.zip(point).and_then(|(curve, point)| ec(&curve, &point)));
        Ok(info.and_then(|info| Evp::from_public(&info).ok()))
    }
}

/// The one private key that a URI names.
fn private_key(session: &Session, uri: &Pkcs11Uri) -> Result<ObjectHandle, Failure> {
    let mut template = vec![Attribute::Class(ObjectClass::PRIVATE_KEY)];
    let mut named = Vec::new();
    if let Some(label) = &uri.object {
        template.push(Attribute::Label(label.clone().into_bytes()));
        named.push(format!("object={label}"));
    }
    if let Some(id) = &uri.id {
        template.push(Attribute::Id(id.clone()));
        let encoded: String = id.iter().map(|octet| format!("%{octet:02x}")).collect();
        named.push(format!("id={encoded}"));
    }
    let whose = format!("{}, looking for the private key", uri.module_path.display());
    let found = session.find_objects(&template);
    let found = found.map_err(|error| Failure::of(&error, &whose))?;
    match found.as_slice() {
        [key] => Ok(*key),
        [] => {
            let none = format!("the token has no private key with {}", named.join(";"));
            Err(Failure::lasting(KeyError::KeyMissing(none)))
        }
        several => {
            let many = format!(
                "the token has {} private keys with {}; name one by id=",
                several.len(),
                named.join(";")
            );
            Err(Failure::lasting(KeyError::KeyMissing(many)))
        }
    }
}

/// SubjectPublicKeyInfo of RSA (RFC 8017 appendix A.1.1).
fn rsa(modulus: &[u8], exponent: &[u8]) -> Option<Vec<u8>> {
    let key = vec![UintRef::new(modulus).ok()?, UintRef::new(exponent).ok()?];
    info(RSA, AnyRef::from(Null), &key.to_der().ok()?)
}

/// SubjectPublicKeyInfo of an elliptic curve (RFC 5480 §2). The point is an OCTET STRING in DER (PKCS#11 v2.40 §2.3.3), which
/// some modules leave out.
fn ec(curve: &[u8], point: &[u8]) -> Option<Vec<u8>> {
    let curve = AnyRef::from_der(curve).ok()?;
    let inner = <&OctetStringRef>::from_der(point).map_or(point, OctetStringRef::as_bytes);
    info(EC, curve, inner)
}

fn info(oid: ObjectIdentifier, parameters: AnyRef<'_>, key: &[u8]) -> Option<Vec<u8>> {
    let info = SubjectPublicKeyInfoRef {
        algorithm: AlgorithmIdentifierRef {
            oid,
            parameters: Some(parameters),
        },
        subject_public_key: BitStringRef::from_bytes(key).ok()?,
    };
    info.to_der().ok()
}
