use std::net::{IpAddr, SocketAddr};

use aws_lc_rs::digest;
use secrecy::ExposeSecret;
use zeroize::Zeroizing;

use crate::EspKeys;
use crate::crypto::{Encryption, Integrity, Prf, Protection, ProtectionError, Secret};

/// The algorithms that an IKE SA was agreed on, without its group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Suite {
    /// The cipher.
    pub encryption: Encryption,
    /// The authenticator; `None` for AEAD ciphers.
    pub integrity: Option<Integrity>,
    /// The pseudo-random function.
    pub prf: Prf,
}

/// What both sides said in the exchange that made an IKE SA.
#[derive(Debug, Clone, Copy)]
pub struct Said<'a> {
    /// Ni, the body of the initiator's Nonce payload.
    pub initiator_nonce: &'a [u8],
    /// Nr, the body of the responder's Nonce payload.
    pub responder_nonce: &'a [u8],
    /// SPIi of the SA that is made.
    pub initiator_spi: u64,
    /// SPIr of the SA that is made.
    pub responder_spi: u64,
}

/// The keys of an IKE SA (RFC 7296 §2.14).
pub struct IkeKeys {
    suite: Suite,
    /// SK_d.
    derivation: Secret,
    /// SK_ai, SK_ei and SK_pi: what the initiator of the SA sends with.
    pub initiator: SideKeys,
    /// SK_ar, SK_er and SK_pr: what the responder of the SA sends with.
    pub responder: SideKeys,
}

/// The keys that one side of an IKE SA sends with.
pub struct SideKeys {
    suite: Suite,
    integrity: Secret,
    encryption: Secret,
    proof: Secret,
}

/// The keys of both directions of a Child SA (§2.17).
pub struct ChildKeys {
    /// For packets from the initiator of the exchange that made it.
    pub initiator: EspKeys,
    /// For packets from the responder of that exchange.
    pub responder: EspKeys,
}

/// What one side proves with its AUTH payload: InitiatorSignedOctets or ResponderSignedOctets without the last
/// part, which the keys give (§2.15).
#[derive(Debug, Clone, Copy)]
pub struct Proven<'a> {
    /// That side's IKE_SA_INIT message, from the first octet of its header on (the one that was answered).
    pub message: &'a [u8],
    /// The body of the other side's Nonce payload.
    pub peer_nonce: &'a [u8],
    /// The body of that side's ID payload: type, three reserved octets, value.
    pub identity: &'a [u8],
}

impl IkeKeys {
    /// The keys after IKE_SA_INIT: SKEYSEED = prf(Ni | Nr, g^ir) (§2.14).
    pub fn derive(suite: Suite, said: &Said<'_>, shared: &Secret) -> Self {
        let nonces = [said.initiator_nonce, said.responder_nonce].concat();
        let seed = suite.prf.compute(&nonces, &[shared.expose_secret()]);
        Self::from_seed(suite, said, &seed)
    }

    /// The keys of the IKE SA that replaces this one: SKEYSEED = prf(SK_d (old), g^ir (new) | Ni | Nr), with the
    /// function of the old SA (§2.18).
    pub fn rekey(&self, suite: Suite, said: &Said<'_>, shared: &Secret) -> Self {
        let parts = [shared.expose_secret(), said.initiator_nonce, said.responder_nonce];
        let seed = self.suite.prf.compute(self.derivation.expose_secret(), &parts);
        Self::from_seed(suite, said, &seed)
    }

    /// The algorithms that the keys are for.
    pub fn suite(&self) -> Suite {
        self.suite
    }

    /// The keys of a Child SA: KEYMAT = prf+(SK_d, [g^ir (new)] | Ni | Nr) (§2.17). The nonces are those of the
    /// exchange that makes it; `shared` only if that exchange had KE payloads.
    pub fn child(
        &self,
        (encryption, integrity): (Encryption, Option<Integrity>),
        (initiator_nonce, responder_nonce): (&[u8], &[u8]),
        shared: Option<&Secret>,
    ) -> ChildKeys {
        let shared = shared.map_or(&[][..], |shared| shared.expose_secret());
        let seed = [shared, initiator_nonce, responder_nonce];
        let integrity_octets = integrity.map_or(0, Integrity::key_octets);
        let octets = 2 * (encryption.key_octets() + integrity_octets);
        let material = self
            .suite
            .prf
            .expand(self.derivation.expose_secret(), &seed, octets);
        let mut material = Material(material.expose_secret());
        let mut keys = || EspKeys {
            encryption,
            encryption_key: material.take(encryption.key_octets()),
            integrity: integrity.map(|algorithm| (algorithm, material.take(algorithm.key_octets()))),
        };
        ChildKeys {
            initiator: keys(),
            responder: keys(),
        }
    }

    /// {SK_d | SK_ai | SK_ar | SK_ei | SK_er | SK_pi | SK_pr} = prf+(SKEYSEED, Ni | Nr | SPIi | SPIr)
    fn from_seed(suite: Suite, said: &Said<'_>, seed: &Secret) -> Self {
        let prf = suite.prf.octets();
        let integrity = suite.integrity.map_or(0, Integrity::key_octets);
        let encryption = suite.encryption.key_octets();
        let parts = [
            said.initiator_nonce,
            said.responder_nonce,
            &said.initiator_spi.to_be_bytes(),
            &said.responder_spi.to_be_bytes(),
        ];
        let octets = 3 * prf + 2 * (integrity + encryption);
        let material = suite.prf.expand(seed.expose_secret(), &parts, octets);
        let mut material = Material(material.expose_secret());
        let derivation = material.take(prf);
        let (integrity_i, integrity_r) = (material.take(integrity), material.take(integrity));
        let (encryption_i, encryption_r) = (material.take(encryption), material.take(encryption));
        let (proof_i, proof_r) = (material.take(prf), material.take(prf));
        Self {
            suite,
            derivation,
            initiator: SideKeys {
                suite,
                integrity: integrity_i,
                encryption: encryption_i,
                proof: proof_i,
            },
            responder: SideKeys {
                suite,
                integrity: integrity_r,
                encryption: encryption_r,
                proof: proof_r,
            },
        }
    }
}

impl SideKeys {
    /// Makes the keys ready to protect what this side sends. To be called once: sealing twice from the start
    /// would use an IV twice.
    ///
    /// # Errors
    /// If the suite has an authenticator where there must be none, or the other way round.
    pub fn protection(&self) -> Result<Protection, ProtectionError> {
        let integrity = self.suite.integrity.map(|algorithm| (algorithm, &self.integrity));
        Protection::new(self.suite.encryption, &self.encryption, integrity)
    }

    /// The value of this side's AUTH payload with a pre-shared key:
    /// prf(prf(secret, "Key Pad for IKEv2"), signed octets) (§2.15).
    pub fn shared_key_proof(&self, secret: &Secret, proven: &Proven<'_>) -> Vec<u8> {
        let prf = self.suite.prf;
        let pad = prf.compute(secret.expose_secret(), &[b"Key Pad for IKEv2"]);
        let maced = self.maced_identity(proven);
        let signed = [proven.message, proven.peer_nonce, maced.expose_secret()];
        prf.compute(pad.expose_secret(), &signed).expose_secret().to_vec()
    }

    /// Whether `claimed` is this side's AUTH value, in constant time.
    pub fn verify_shared_key(&self, secret: &Secret, proven: &Proven<'_>, claimed: &[u8]) -> bool {
        let expected = Zeroizing::new(self.shared_key_proof(secret, proven));
        aws_lc_rs::constant_time::verify_slices_are_equal(&expected, claimed).is_ok()
    }

    /// MACedIDForI or MACedIDForR: prf(SK_p, body of the ID payload).
    fn maced_identity(&self, proven: &Proven<'_>) -> Secret {
        self.suite
            .prf
            .compute(self.proof.expose_secret(), &[proven.identity])
    }
}

/// Key material, from which keys are taken in order.
struct Material<'a>(&'a [u8]);

impl Material<'_> {
    fn take(&mut self, octets: usize) -> Secret {
        let (key, rest) = self.0.split_at(octets);
        self.0 = rest;
        key.to_vec().into()
    }
}

/// The data of NAT_DETECTION_SOURCE_IP and NAT_DETECTION_DESTINATION_IP: SHA-1 of the SPIs as they stand in the
/// message's header, the address and the port (§2.23).
pub fn nat_detection(initiator_spi: u64, responder_spi: u64, address: SocketAddr) -> [u8; 20] {
    let mut context = digest::Context::new(&digest::SHA1_FOR_LEGACY_USE_ONLY);
    context.update(&initiator_spi.to_be_bytes());
    context.update(&responder_spi.to_be_bytes());
    match address.ip() {
        IpAddr::V4(ip) => context.update(&ip.octets()),
        IpAddr::V6(ip) => context.update(&ip.octets()),
    }
    context.update(&address.port().to_be_bytes());
    let mut hash = [0; 20];
    hash.iter_mut()
        .zip(context.finish().as_ref())
        .for_each(|(to, from)| *to = *from);
    hash
}

/// The cookie for one IKE_SA_INIT: PRF_HMAC_SHA2_256(secret, Ni | IPi | SPIi), which takes no state (§2.6).
pub fn cookie(secret: &Secret, initiator_nonce: &[u8], initiator: IpAddr, initiator_spi: u64) -> Vec<u8> {
    let (v4, v6);
    let address: &[u8] = match initiator {
        IpAddr::V4(ip) => {
            v4 = ip.octets();
            &v4
        }
        IpAddr::V6(ip) => {
            v6 = ip.octets();
            &v6
        }
    };
    let parts = [initiator_nonce, address, &initiator_spi.to_be_bytes()];
    Prf::HmacSha2_256
        .compute(secret.expose_secret(), &parts)
        .expose_secret()
        .to_vec()
}
