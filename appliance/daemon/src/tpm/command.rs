//! Commands and answers as octets (TPM 2.0 Library, part 1, section 18, and part 2). Pure.

use zeroize::Zeroizing;

/// `TPM_RH_OWNER`.
pub(super) const OWNER: u32 = 0x4000_0001;
/// Octets of a header: tag, size, and command or response code.
pub(super) const HEADER: usize = 10;

const NO_SESSIONS: u16 = 0x8001;
const SESSIONS: u16 = 0x8002;
/// The only session: `TPM_RS_PW` with an empty password, no nonce and no attributes.
const EMPTY_PASSWORD: [u8; 9] = [0x40, 0, 0, 9, 0, 0, 0, 0, 0];

const SHA256: u16 = 0x000b;
const KEYED_HASH: u16 = 0x0008;
const ECC: u16 = 0x0023;
const AES: u16 = 0x0006;
const CFB: u16 = 0x0043;
const NONE: u16 = 0x0010;
const P256: u16 = 0x0003;

/// fixedTPM, fixedParent, userWithAuth and noDA (part 2, section 8.3).
const SEALED: u32 = 1 << 1 | 1 << 4 | 1 << 6 | 1 << 10;
/// Beside these sensitiveDataOrigin, restricted and decrypt: made in the TPM, and only good for keeping others.
const STORAGE: u32 = SEALED | 1 << 5 | 1 << 16 | 1 << 17;

/// What a TPM can be asked for: its name, and its code (part 2, section 6.5.2).
pub(super) type Wanted = (&'static str, u32);
pub(super) const CREATE_PRIMARY: Wanted = ("TPM2_CreatePrimary", 0x131);
pub(super) const CREATE: Wanted = ("TPM2_Create", 0x153);
pub(super) const LOAD: Wanted = ("TPM2_Load", 0x157);
pub(super) const UNSEAL: Wanted = ("TPM2_Unseal", 0x15e);
pub(super) const FLUSH_CONTEXT: Wanted = ("TPM2_FlushContext", 0x165);

/// A command in the making.
pub(super) struct Command {
    /// As the specification calls it.
    pub(super) name: &'static str,
    code: u32,
    tag: u16,
    body: Zeroizing<Vec<u8>>,
}

impl Command {
    pub(super) fn new((name, code): Wanted) -> Self {
        Self {
            name,
            code,
            tag: NO_SESSIONS,
            // So large that nothing of a secret is left behind when it grows.
            body: Zeroizing::new(Vec::with_capacity(1024)),
        }
    }

    /// Adds a handle.
    pub(super) fn handle(self, handle: u32) -> Self {
        self.number(handle)
    }

    /// Authorizes the handles so far by an empty password.
    pub(super) fn authorized(mut self) -> Self {
        self.tag = SESSIONS;
        self.body.extend(
            u32::try_from(EMPTY_PASSWORD.len())
                .unwrap_or_default()
                .to_be_bytes(),
        );
        self.body.extend(EMPTY_PASSWORD);
        self
    }

    /// Adds a number.
    pub(super) fn number(mut self, number: u32) -> Self {
        self.body.extend(number.to_be_bytes());
        self
    }

    /// Adds octets behind their number, as every `TPM2B` has it.
    pub(super) fn sized(mut self, octets: &[u8]) -> Self {
        put(&mut self.body, octets);
        self
    }

    /// `TPMS_SENSITIVE_CREATE`: no password, and this as data.
    pub(super) fn sensitive(data: &[u8]) -> Zeroizing<Vec<u8>> {
        let mut octets = Zeroizing::new(Vec::with_capacity(4 + data.len()));
        put(&mut octets, &[]);
        put(&mut octets, data);
        octets
    }

    /// Two values, one behind the other.
    pub(super) fn pair(one: &[u8], other: &[u8]) -> Vec<u8> {
        let mut octets = Vec::new();
        put(&mut octets, one);
        put(&mut octets, other);
        octets
    }

    /// The whole command.
    pub(super) fn octets(&self) -> Zeroizing<Vec<u8>> {
        let size = HEADER + self.body.len();
        let mut octets = Zeroizing::new(Vec::with_capacity(size));
        octets.extend(self.tag.to_be_bytes());
        octets.extend(u32::try_from(size).unwrap_or(u32::MAX).to_be_bytes());
        octets.extend(self.code.to_be_bytes());
        octets.extend(self.body.iter());
        octets
    }
}

/// Adds octets behind their number; what is longer than any of ours leaves a number that no TPM takes.
fn put(to: &mut Vec<u8>, octets: &[u8]) {
    to.extend(u16::try_from(octets.len()).unwrap_or(u16::MAX).to_be_bytes());
    to.extend(octets);
}

/// `TPMT_PUBLIC` of the storage key: P-256 with AES-128, as TCG's provisioning guidance has it.
pub(super) fn storage_template() -> Vec<u8> {
    let mut octets = template(ECC, STORAGE);
    for word in [AES, 128, CFB, NONE, P256, NONE, 0, 0] {
        octets.extend(word.to_be_bytes());
    }
    octets
}

/// `TPMT_PUBLIC` of what is sealed.
pub(super) fn sealed_template() -> Vec<u8> {
    let mut octets = template(KEYED_HASH, SEALED);
    for word in [NONE, 0] {
        octets.extend(word.to_be_bytes());
    }
    octets
}

/// What every `TPMT_PUBLIC` begins with; there is no policy.
fn template(kind: u16, attributes: u32) -> Vec<u8> {
    let mut octets = Vec::new();
    octets.extend(kind.to_be_bytes());
    octets.extend(SHA256.to_be_bytes());
    octets.extend(attributes.to_be_bytes());
    put(&mut octets, &[]);
    octets
}

/// How many octets an answer has that begins so.
pub(super) fn size_of(header: &[u8]) -> Option<usize> {
    let size = header.get(2..6)?.try_into().ok().map(u32::from_be_bytes)?;
    usize::try_from(size).ok().filter(|size| *size >= HEADER)
}

/// A value of a number of octets, and what is behind it.
pub(super) fn value_of(octets: &[u8]) -> Option<(&[u8], &[u8])> {
    let (size, rest) = octets.split_first_chunk()?;
    rest.split_at_checked(usize::from(u16::from_be_bytes(*size)))
}

/// What a TPM answered.
pub(super) struct Answer {
    octets: Zeroizing<Vec<u8>>,
    has_handle: bool,
}

impl Answer {
    /// The answer to a command, if it is whole.
    pub(super) fn new(command: &Command, octets: Zeroizing<Vec<u8>>) -> Option<Self> {
        let has_handle = [CREATE_PRIMARY.1, LOAD.1].contains(&command.code);
        (size_of(&octets)? == octets.len()).then_some(Self { octets, has_handle })
    }

    /// The response code: 0 when it was done.
    pub(super) fn code(&self) -> u32 {
        number(&self.octets, 6).unwrap_or(u32::MAX)
    }

    /// The handle of what was loaded.
    pub(super) fn handle(&self) -> Option<u32> {
        number(&self.octets, HEADER).filter(|_| self.has_handle)
    }

    /// The parameters of an answer with a session.
    pub(super) fn parameters(&self) -> Option<&[u8]> {
        let at = HEADER + if self.has_handle { 4 } else { 0 };
        let size = usize::try_from(number(&self.octets, at)?).ok()?;
        self.octets.get(at + 4..)?.get(..size)
    }
}

fn number(octets: &[u8], at: usize) -> Option<u32> {
    let octets = octets.get(at..)?.first_chunk()?;
    Some(u32::from_be_bytes(*octets))
}
