use std::fmt;

use serde::{Serialize, Serializer};

/// One thing that is wrong with the document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// Where, as a JSON pointer (RFC 6901); empty for the whole document.
    pub path: String,
    /// What, in one stable word.
    pub reason: Reason,
    /// What is there, what was expected and what to do, for a human.
    pub detail: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = if self.path.is_empty() { "/" } else { &self.path };
        write!(f, "{path}: {}: {}", self.reason, self.detail)
    }
}

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident = $word:literal,)*) => {
        /// Why a document is refused: one kebab-case word, the same everywhere.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Reason { $($(#[$doc])* $name,)* }

        impl Reason {
            /// Every reason.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The stable word.
            pub fn word(self) -> &'static str {
                match self { $(Self::$name => $word,)* }
            }
        }
    };
}

reasons! {
    /// The document is larger than [`crate::MAX_BYTES`].
    TooLarge = "too-large",
    /// The bytes are not UTF-8.
    NotUtf8 = "not-utf8",
    /// The text is not JSON, or nested too deeply.
    NotJson = "not-json",
    /// A key stands twice in one object.
    DuplicateKey = "duplicate-key",
    /// A key that has no meaning here.
    UnknownKey = "unknown-key",
    /// A key that must be there is not.
    MissingKey = "missing-key",
    /// A value of another JSON type.
    WrongType = "wrong-type",
    /// A number, a length or a count outside its bounds.
    OutOfRange = "out-of-range",
    /// A word that is not one of those allowed.
    UnknownWord = "unknown-word",
    /// A known feature that this version does not have.
    NotInThisVersion = "not-in-this-version",
    /// The firmware image acts on it, and no other host does.
    ImageOnly = "image-only",
    /// Not a name.
    InvalidName = "invalid-name",
    /// Not an address, or not one that a gateway can have.
    InvalidAddress = "invalid-address",
    /// Not a prefix in canonical form.
    InvalidPrefix = "invalid-prefix",
    /// Not an IKE identity.
    InvalidIdentity = "invalid-identity",
    /// Not a host name.
    InvalidHostName = "invalid-host-name",
    /// Not a time of day.
    InvalidTime = "invalid-time",
    /// Not a zone of the IANA time zone database.
    UnknownTimeZone = "unknown-time-zone",
    /// Not the name of a network device.
    InvalidDeviceName = "invalid-device-name",
    /// Not the MAC address of one device.
    InvalidMacAddress = "invalid-mac-address",
    /// Not a certificate.
    InvalidCertificate = "invalid-certificate",
    /// A private key, which no document may hold.
    PrivateKeyInDocument = "private-key-in-document",
    /// The same certificate twice.
    DuplicateCertificate = "duplicate-certificate",
    /// Not a time that can be read.
    InvalidMoment = "invalid-moment",
    /// Nowhere that a list of revoked certificates can be had from.
    InvalidListSource = "invalid-list-source",
    /// A certificate that is not what its profile asks for.
    CertificateUnfit = "certificate-unfit",
    /// A certificate that is not from the one before or after it.
    ChainBroken = "chain-broken",
    /// A chain that does not begin with its root.
    RootMissing = "root-missing",
    /// Not the hash of a certificate.
    InvalidThumbprint = "invalid-thumbprint",
    /// Not what the provider knows a key by.
    InvalidKeyReference = "invalid-key-reference",
    /// Not the path of a file.
    InvalidPath = "invalid-path",
    /// Not a UUID.
    InvalidUuid = "invalid-uuid",
    /// Two keys that do not go together.
    ConflictingKeys = "conflicting-keys",
    /// A reference to a name that is not there.
    DanglingReference = "dangling-reference",
    /// A name that is built in and cannot be redefined.
    BuiltInName = "built-in-name",
    /// A policy that does not say everything.
    PolicyIncomplete = "policy-incomplete",
    /// Algorithms that do not go together.
    PolicyInconsistent = "policy-inconsistent",
    /// An algorithm for the IKE SA that only a policy with `"legacy": true` may name.
    PolicyLegacy = "policy-legacy",
    /// IPv4 at one end and IPv6 at the other.
    AddressFamilyMismatch = "address-family-mismatch",
    /// Two prefixes of different owners overlap.
    AddressSpaceOverlap = "address-space-overlap",
    /// A gateway's own outer address lies inside a site's address space: its packets would enter the tunnel.
    EndpointInsideAddressSpace = "endpoint-inside-address-space",
    /// The same address twice.
    DuplicateAddress = "duplicate-address",
    /// Two interfaces that would be the same device.
    DuplicateDevice = "duplicate-device",
    /// A VLAN inside a VLAN.
    VlanInsideVlan = "vlan-inside-vlan",
    /// A gateway that is no neighbour of its interface.
    GatewayOffLink = "gateway-off-link",
    /// A second default route.
    DuplicateGateway = "duplicate-gateway",
    /// An interface that has no address, or an address that no interface has.
    AddressNotOnInterface = "address-not-on-interface",
    /// The same prefix twice.
    DuplicatePrefix = "duplicate-prefix",
    /// An autonomous system number that nobody may use.
    AsnReserved = "asn-reserved",
    /// Our own autonomous system number at a site that is not said to be internal, or another at one that is.
    AsnNotExternal = "asn-not-external",
    /// A link-local address at one end of a BGP session only, or one that Azure does not have at its end.
    ApipaMismatch = "apipa-mismatch",
    /// A peer that speaks BGP from inside our own address space or another site's.
    BgpAddressInsideAddressSpace = "bgp-address-inside-address-space",
    /// A BGP session where one side has no BGP.
    BgpNotConfigured = "bgp-not-configured",
    /// A BGP session through policy-based selectors.
    BgpNeedsRouteBased = "bgp-needs-route-based",
    /// A BGP session that the selectors of its connection do not let pass.
    BgpNotSelected = "bgp-not-selected",
    /// One BGP session that two connections say different things of.
    BgpSessionConflict = "bgp-session-conflict",
    /// BGP timers below those that Azure keeps; a notice, never a refusal.
    BgpTimersShort = "bgp-timers-short",
    /// Not a community of BGP.
    InvalidCommunity = "invalid-community",
    /// Not a pattern of an AS path.
    InvalidAsPath = "invalid-as-path",
    /// Parts of a route policy that do not go together.
    RoutePolicyInconsistent = "route-policy-inconsistent",
    /// More rules of translation than the gateway takes on.
    NatRuleLimit = "nat-rule-limit",
    /// A static rule between prefixes of different lengths.
    NatLengthsDiffer = "nat-lengths-differ",
    /// A dynamic rule with too many external addresses.
    NatPoolTooLarge = "nat-pool-too-large",
    /// Ports where the kind of rule has none, or on one side only.
    NatPortsNotAllowed = "nat-ports-not-allowed",
    /// An external prefix that overlaps another, or what is not translated.
    NatMappingOverlap = "nat-mapping-overlap",
    /// A rule among those of the other mode.
    NatWrongMode = "nat-wrong-mode",
    /// An id of a key of TCP-AO that another key of the same session has.
    DuplicateKeyId = "duplicate-key-id",
    /// The same rule twice, or two for the same.
    DuplicateNatRule = "duplicate-nat-rule",
    /// A rule on connections that cannot share it.
    NatRuleShared = "nat-rule-shared",
    /// A rule for connections from another address of ours.
    NatOtherIpConfiguration = "nat-other-ip-configuration",
    /// A rule for prefixes that are not there.
    NatTranslatesNothing = "nat-translates-nothing",
    /// A rule of whose prefix others, for parts of it, say all.
    NatRuleShadowed = "nat-rule-shadowed",
    /// Rules on a connection with policy-based selectors.
    NatNeedsRouteBased = "nat-needs-route-based",
    /// Rules beside a BGP session to a link-local address.
    NatWithApipa = "nat-with-apipa",
    /// A rule that would translate an end of a BGP session.
    NatCoversBgpAddress = "nat-covers-bgp-address",
    /// A selector beside everything that is routed into the tunnel.
    SelectorNotRouted = "selector-not-routed",
    /// The same selectors in two lines.
    DuplicateSelectors = "duplicate-selectors",
    /// A mode that the endpoint or the protocol does not allow.
    ModeImpossible = "mode-impossible",
    /// Aggressive mode, which lets anybody try secrets.
    AggressiveModeWeak = "aggressive-mode-weak",
    /// Two connections whose peers could not be told apart.
    ConnectionsIndistinguishable = "connections-indistinguishable",
    /// Another protocol for a connection that is there already.
    ProtocolImmutable = "protocol-immutable",
    /// More problems than are listed.
    TooManyProblems = "too-many-problems",
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl Serialize for Reason {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.word())
    }
}
