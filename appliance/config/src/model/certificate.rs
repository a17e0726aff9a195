use super::certificate_profile::PROFILE;
use super::x509::{Order, X509, chain};
use super::{CertificateProfile, KeyProvider, KeyReference, Name};
use crate::Reason;
use crate::reader::{Collection, Value};

/// A certificate of ours: its key, and what proves whose it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// The name of who holds the key.
    pub provider_name: Name,
    /// Who holds the key.
    pub provider: KeyProvider,
    /// Which of its keys it is.
    pub key: KeyReference,
    /// The certificate, then that of its issuer and so on; none where the provider has them.
    pub chain: Vec<X509>,
    /// What it has to be.
    pub profile: CertificateProfile,
}

impl Certificate {
    pub(crate) fn read(value: &Value<'_>, providers: &Collection<KeyProvider>) -> Option<Self> {
        let mut object = value.object()?;
        let key = object.required("key", |value| key(value, providers));
        let chain = object.optional("chain", Vec::new(), |value| chain(value, Order::LeafFirst));
        let profile = object.optional("profile", CertificateProfile::General, |value| {
            value.word(PROFILE, &[])
        });
        let ((provider_name, provider), key) = key?;
        let (chain, profile) = (chain?, profile?);
        if provider == KeyProvider::File && chain.is_empty() {
            object.lacks("chain", "\"chain\" must be given: a file has the key alone");
            return None;
        }
        // Where the document has no certificate, who has the key tells it later.
        if let Some(unfit) = profile.check(&chain).err().filter(|_| !chain.is_empty()) {
            object.faulty("chain", Reason::CertificateUnfit, &unfit.to_string());
            return None;
        }
        Some(Self {
            provider_name,
            provider,
            key,
            chain,
            profile,
        })
    }
}

fn key(
    value: &Value<'_>,
    providers: &Collection<KeyProvider>,
) -> Option<((Name, KeyProvider), KeyReference)> {
    let mut object = value.object()?;
    let provider = object.required("provider", |value| providers.follow(value, "key provider"));
    let reference = object.required("reference", |value| {
        let text = value.text()?;
        let (_, provider) = provider.as_ref()?;
        let parsed = KeyReference::parse(text, provider);
        parsed
            .map_err(|detail| value.problem(Reason::InvalidKeyReference, detail))
            .ok()
    });
    Some((provider?, reference?))
}
