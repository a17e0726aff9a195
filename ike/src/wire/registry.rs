//! Numbers that IANA assigns ("Internet Key Exchange Version 2 (IKEv2) Parameters"), as far as we speak of
//! them; RFC 7296 where no other document is named.

/// Exchange types (the header).
pub mod exchange {
    /// IKE_SA_INIT (34).
    pub const IKE_SA_INIT: u8 = 34;
    /// IKE_AUTH (35).
    pub const IKE_AUTH: u8 = 35;
    /// CREATE_CHILD_SA (36).
    pub const CREATE_CHILD_SA: u8 = 36;
    /// INFORMATIONAL (37).
    pub const INFORMATIONAL: u8 = 37;
    /// IKE_SESSION_RESUME (38) (RFC 5723).
    pub const IKE_SESSION_RESUME: u8 = 38;
    /// IKE_INTERMEDIATE (43) (RFC 9242).
    pub const IKE_INTERMEDIATE: u8 = 43;
    /// IKE_FOLLOWUP_KE (44) (RFC 9370).
    pub const IKE_FOLLOWUP_KE: u8 = 44;
}

/// Payload types.
pub mod payload {
    /// NONE (0): no payload follows.
    pub const NONE: u8 = 0;
    /// SA (33).
    pub const SA: u8 = 33;
    /// KE (34).
    pub const KE: u8 = 34;
    /// ID_I (35).
    pub const ID_I: u8 = 35;
    /// ID_R (36).
    pub const ID_R: u8 = 36;
    /// CERT (37).
    pub const CERT: u8 = 37;
    /// CERTREQ (38).
    pub const CERTREQ: u8 = 38;
    /// AUTH (39).
    pub const AUTH: u8 = 39;
    /// NONCE (40).
    pub const NONCE: u8 = 40;
    /// NOTIFY (41).
    pub const NOTIFY: u8 = 41;
    /// DELETE (42).
    pub const DELETE: u8 = 42;
    /// VENDOR_ID (43).
    pub const VENDOR_ID: u8 = 43;
    /// TS_I (44).
    pub const TS_I: u8 = 44;
    /// TS_R (45).
    pub const TS_R: u8 = 45;
    /// SK (46).
    pub const SK: u8 = 46;
    /// CP (47).
    pub const CP: u8 = 47;
    /// EAP (48).
    pub const EAP: u8 = 48;
    /// SKF (53) (RFC 7383).
    pub const SKF: u8 = 53;
}

/// Protocols that an SPI belongs to.
pub mod protocol {
    /// NONE (0): the message, or the IKE SA it came in.
    pub const NONE: u8 = 0;
    /// IKE (1).
    pub const IKE: u8 = 1;
    /// AH (2).
    pub const AH: u8 = 2;
    /// ESP (3).
    pub const ESP: u8 = 3;
}

/// Transform types.
pub mod transform {
    /// ENCR (1).
    pub const ENCR: u8 = 1;
    /// PRF (2).
    pub const PRF: u8 = 2;
    /// INTEG (3).
    pub const INTEG: u8 = 3;
    /// KE (4).
    pub const KE: u8 = 4;
    /// ESN (5).
    pub const ESN: u8 = 5;
    /// ADDKE1 (6), the first of seven in a row (RFC 9370).
    pub const ADDKE1: u8 = 6;
    /// ADDKE7 (12), the last of them.
    pub const ADDKE7: u8 = 12;
}

/// Transform type 1.
pub mod encryption {
    /// DES3 (3), weak: known only to be named when refused.
    pub const DES3: u16 = 3;
    /// NULL (11), known only to be named when refused.
    pub const NULL: u16 = 11;
    /// AES_CBC (12) (RFC 3602).
    pub const AES_CBC: u16 = 12;
    /// AES_CTR (13) (RFC 3686).
    pub const AES_CTR: u16 = 13;
    /// AES_CCM_16 (16) (RFC 4309).
    pub const AES_CCM_16: u16 = 16;
    /// AES_GCM_8 (18) (RFC 4106).
    pub const AES_GCM_8: u16 = 18;
    /// AES_GCM_12 (19) (RFC 4106).
    pub const AES_GCM_12: u16 = 19;
    /// AES_GCM_16 (20) (RFC 4106).
    pub const AES_GCM_16: u16 = 20;
    /// CHACHA20_POLY1305 (28) (RFC 7634).
    pub const CHACHA20_POLY1305: u16 = 28;
}

/// Transform type 2.
pub mod prf {
    /// HMAC_MD5 (1).
    pub const HMAC_MD5: u16 = 1;
    /// HMAC_SHA1 (2).
    pub const HMAC_SHA1: u16 = 2;
    /// AES128_XCBC (4) (RFC 4434).
    pub const AES128_XCBC: u16 = 4;
    /// HMAC_SHA2_256 (5) (RFC 4868).
    pub const HMAC_SHA2_256: u16 = 5;
    /// HMAC_SHA2_384 (6) (RFC 4868).
    pub const HMAC_SHA2_384: u16 = 6;
    /// HMAC_SHA2_512 (7) (RFC 4868).
    pub const HMAC_SHA2_512: u16 = 7;
    /// AES128_CMAC (8) (RFC 4615).
    pub const AES128_CMAC: u16 = 8;
}

/// Transform type 3.
pub mod integrity {
    /// NONE (0): what the cipher brings itself.
    pub const NONE: u16 = 0;
    /// HMAC_MD5_96 (1).
    pub const HMAC_MD5_96: u16 = 1;
    /// HMAC_SHA1_96 (2).
    pub const HMAC_SHA1_96: u16 = 2;
    /// AES_XCBC_96 (5) (RFC 3566).
    pub const AES_XCBC_96: u16 = 5;
    /// AES_CMAC_96 (8) (RFC 4494).
    pub const AES_CMAC_96: u16 = 8;
    /// HMAC_SHA2_256_128 (12) (RFC 4868).
    pub const HMAC_SHA2_256_128: u16 = 12;
    /// HMAC_SHA2_384_192 (13) (RFC 4868).
    pub const HMAC_SHA2_384_192: u16 = 13;
    /// HMAC_SHA2_512_256 (14) (RFC 4868).
    pub const HMAC_SHA2_512_256: u16 = 14;
}

/// Transform type 4.
pub mod group {
    /// NONE (0): no key exchange of its own.
    pub const NONE: u16 = 0;
    /// MODP_768 (1).
    pub const MODP_768: u16 = 1;
    /// MODP_1024 (2).
    pub const MODP_1024: u16 = 2;
    /// MODP_1536 (5).
    pub const MODP_1536: u16 = 5;
    /// MODP_2048 (14).
    pub const MODP_2048: u16 = 14;
    /// MODP_3072 (15).
    pub const MODP_3072: u16 = 15;
    /// MODP_4096 (16).
    pub const MODP_4096: u16 = 16;
    /// MODP_6144 (17).
    pub const MODP_6144: u16 = 17;
    /// MODP_8192 (18).
    pub const MODP_8192: u16 = 18;
    /// ECP_256 (19) (RFC 5903).
    pub const ECP_256: u16 = 19;
    /// ECP_384 (20) (RFC 5903).
    pub const ECP_384: u16 = 20;
    /// ECP_521 (21) (RFC 5903).
    pub const ECP_521: u16 = 21;
    /// MODP_2048_256 (24) (RFC 5114).
    pub const MODP_2048_256: u16 = 24;
    /// CURVE25519 (31) (RFC 8031).
    pub const CURVE25519: u16 = 31;
    /// CURVE448 (32) (RFC 8031).
    pub const CURVE448: u16 = 32;
}

/// Transform type 5.
pub mod esn {
    /// NONE (0): sequence numbers of 32 bits.
    pub const NONE: u16 = 0;
    /// EXTENDED (1): sequence numbers of 64 bits.
    pub const EXTENDED: u16 = 1;
}

/// Transform attributes.
pub mod attribute {
    /// KEY_LENGTH (14), in bits.
    pub const KEY_LENGTH: u16 = 14;
}

/// Identification types.
pub mod identity {
    /// IPV4_ADDR (1).
    pub const IPV4_ADDR: u8 = 1;
    /// FQDN (2).
    pub const FQDN: u8 = 2;
    /// RFC822_ADDR (3).
    pub const RFC822_ADDR: u8 = 3;
    /// IPV6_ADDR (5).
    pub const IPV6_ADDR: u8 = 5;
    /// DER_ASN1_DN (9).
    pub const DER_ASN1_DN: u8 = 9;
    /// DER_ASN1_GN (10).
    pub const DER_ASN1_GN: u8 = 10;
    /// KEY_ID (11).
    pub const KEY_ID: u8 = 11;
}

/// Certificate encodings.
pub mod certificate {
    /// X509_SIGNATURE (4).
    pub const X509_SIGNATURE: u8 = 4;
    /// CRL (7).
    pub const CRL: u8 = 7;
    /// HASH_AND_URL (12).
    pub const HASH_AND_URL: u8 = 12;
}

/// Authentication methods.
pub mod authentication {
    /// RSA_SIGNATURE (1).
    pub const RSA_SIGNATURE: u8 = 1;
    /// SHARED_KEY (2).
    pub const SHARED_KEY: u8 = 2;
    /// ECDSA_256 (9) (RFC 4754).
    pub const ECDSA_256: u8 = 9;
    /// ECDSA_384 (10) (RFC 4754).
    pub const ECDSA_384: u8 = 10;
    /// ECDSA_521 (11) (RFC 4754).
    pub const ECDSA_521: u8 = 11;
    /// NULL (13) (RFC 7619).
    pub const NULL: u8 = 13;
    /// DIGITAL_SIGNATURE (14) (RFC 7427).
    pub const DIGITAL_SIGNATURE: u8 = 14;
}

/// Hash algorithms of signatures (RFC 7427).
pub mod hash {
    /// SHA2_256 (2).
    pub const SHA2_256: u16 = 2;
    /// SHA2_384 (3).
    pub const SHA2_384: u16 = 3;
    /// SHA2_512 (4).
    pub const SHA2_512: u16 = 4;
}

/// Traffic selector types.
pub mod selector {
    /// IPV4_ADDR_RANGE (7).
    pub const IPV4_ADDR_RANGE: u8 = 7;
    /// IPV6_ADDR_RANGE (8).
    pub const IPV6_ADDR_RANGE: u8 = 8;
}

/// Configuration payload types.
pub mod configuration {
    /// REQUEST (1).
    pub const REQUEST: u8 = 1;
    /// REPLY (2).
    pub const REPLY: u8 = 2;
    /// SET (3).
    pub const SET: u8 = 3;
    /// ACK (4).
    pub const ACK: u8 = 4;
}

/// Notify types: errors below 16,384, statuses from there on.
pub mod notify {
    /// UNSUPPORTED_CRITICAL_PAYLOAD (1).
    pub const UNSUPPORTED_CRITICAL_PAYLOAD: u16 = 1;
    /// INVALID_IKE_SPI (4).
    pub const INVALID_IKE_SPI: u16 = 4;
    /// INVALID_MAJOR_VERSION (5).
    pub const INVALID_MAJOR_VERSION: u16 = 5;
    /// INVALID_SYNTAX (7).
    pub const INVALID_SYNTAX: u16 = 7;
    /// INVALID_MESSAGE_ID (9).
    pub const INVALID_MESSAGE_ID: u16 = 9;
    /// INVALID_SPI (11).
    pub const INVALID_SPI: u16 = 11;
    /// NO_PROPOSAL_CHOSEN (14).
    pub const NO_PROPOSAL_CHOSEN: u16 = 14;
    /// INVALID_KE_PAYLOAD (17).
    pub const INVALID_KE_PAYLOAD: u16 = 17;
    /// AUTHENTICATION_FAILED (24).
    pub const AUTHENTICATION_FAILED: u16 = 24;
    /// SINGLE_PAIR_REQUIRED (34).
    pub const SINGLE_PAIR_REQUIRED: u16 = 34;
    /// NO_ADDITIONAL_SAS (35).
    pub const NO_ADDITIONAL_SAS: u16 = 35;
    /// INTERNAL_ADDRESS_FAILURE (36).
    pub const INTERNAL_ADDRESS_FAILURE: u16 = 36;
    /// FAILED_CP_REQUIRED (37).
    pub const FAILED_CP_REQUIRED: u16 = 37;
    /// TS_UNACCEPTABLE (38).
    pub const TS_UNACCEPTABLE: u16 = 38;
    /// INVALID_SELECTORS (39).
    pub const INVALID_SELECTORS: u16 = 39;
    /// UNACCEPTABLE_ADDRESSES (40) (RFC 4555).
    pub const UNACCEPTABLE_ADDRESSES: u16 = 40;
    /// UNEXPECTED_NAT_DETECTED (41) (RFC 4555).
    pub const UNEXPECTED_NAT_DETECTED: u16 = 41;
    /// TEMPORARY_FAILURE (43).
    pub const TEMPORARY_FAILURE: u16 = 43;
    /// CHILD_SA_NOT_FOUND (44).
    pub const CHILD_SA_NOT_FOUND: u16 = 44;
    /// STATE_NOT_FOUND (47) (RFC 9370).
    pub const STATE_NOT_FOUND: u16 = 47;
    /// INITIAL_CONTACT (16384).
    pub const INITIAL_CONTACT: u16 = 16_384;
    /// Of ours, from the range for private use; who does not know it passes it over (RFC 7296 §3.10.1). With
    /// INITIAL_CONTACT: what we forgot, our datapath still carries.
    pub const CARRIES_ON: u16 = 52_517;
    /// SET_WINDOW_SIZE (16385).
    pub const SET_WINDOW_SIZE: u16 = 16_385;
    /// ADDITIONAL_TS_POSSIBLE (16386).
    pub const ADDITIONAL_TS_POSSIBLE: u16 = 16_386;
    /// IPCOMP_SUPPORTED (16387).
    pub const IPCOMP_SUPPORTED: u16 = 16_387;
    /// NAT_DETECTION_SOURCE_IP (16388).
    pub const NAT_DETECTION_SOURCE_IP: u16 = 16_388;
    /// NAT_DETECTION_DESTINATION_IP (16389).
    pub const NAT_DETECTION_DESTINATION_IP: u16 = 16_389;
    /// COOKIE (16390).
    pub const COOKIE: u16 = 16_390;
    /// USE_TRANSPORT_MODE (16391).
    pub const USE_TRANSPORT_MODE: u16 = 16_391;
    /// HTTP_CERT_LOOKUP_SUPPORTED (16392).
    pub const HTTP_CERT_LOOKUP_SUPPORTED: u16 = 16_392;
    /// REKEY_SA (16393).
    pub const REKEY_SA: u16 = 16_393;
    /// ESP_TFC_PADDING_NOT_SUPPORTED (16394).
    pub const ESP_TFC_PADDING_NOT_SUPPORTED: u16 = 16_394;
    /// NON_FIRST_FRAGMENTS_ALSO (16395).
    pub const NON_FIRST_FRAGMENTS_ALSO: u16 = 16_395;
    /// MOBIKE_SUPPORTED (16396) (RFC 4555).
    pub const MOBIKE_SUPPORTED: u16 = 16_396;
    /// ADDITIONAL_IP4_ADDRESS (16397) (RFC 4555).
    pub const ADDITIONAL_IP4_ADDRESS: u16 = 16_397;
    /// ADDITIONAL_IP6_ADDRESS (16398) (RFC 4555).
    pub const ADDITIONAL_IP6_ADDRESS: u16 = 16_398;
    /// NO_ADDITIONAL_ADDRESSES (16399) (RFC 4555).
    pub const NO_ADDITIONAL_ADDRESSES: u16 = 16_399;
    /// UPDATE_SA_ADDRESSES (16400) (RFC 4555).
    pub const UPDATE_SA_ADDRESSES: u16 = 16_400;
    /// COOKIE2 (16401) (RFC 4555).
    pub const COOKIE2: u16 = 16_401;
    /// NO_NATS_ALLOWED (16402) (RFC 4555).
    pub const NO_NATS_ALLOWED: u16 = 16_402;
    /// AUTH_LIFETIME (16403) (RFC 4478).
    pub const AUTH_LIFETIME: u16 = 16_403;
    /// MULTIPLE_AUTH_SUPPORTED (16404) (RFC 4739).
    pub const MULTIPLE_AUTH_SUPPORTED: u16 = 16_404;
    /// REDIRECT_SUPPORTED (16406) (RFC 5685).
    pub const REDIRECT_SUPPORTED: u16 = 16_406;
    /// REDIRECT (16407) (RFC 5685).
    pub const REDIRECT: u16 = 16_407;
    /// REDIRECTED_FROM (16408) (RFC 5685).
    pub const REDIRECTED_FROM: u16 = 16_408;
    /// EAP_ONLY_AUTHENTICATION (16417) (RFC 5998).
    pub const EAP_ONLY_AUTHENTICATION: u16 = 16_417;
    /// CHILDLESS_IKEV2_SUPPORTED (16418) (RFC 6023).
    pub const CHILDLESS_IKEV2_SUPPORTED: u16 = 16_418;
    /// QUICK_CRASH_DETECTION (16419) (RFC 6290).
    pub const QUICK_CRASH_DETECTION: u16 = 16_419;
    /// IKEV2_FRAGMENTATION_SUPPORTED (16430) (RFC 7383).
    pub const IKEV2_FRAGMENTATION_SUPPORTED: u16 = 16_430;
    /// SIGNATURE_HASH_ALGORITHMS (16431) (RFC 7427).
    pub const SIGNATURE_HASH_ALGORITHMS: u16 = 16_431;
    /// USE_PPK (16435) (RFC 8784).
    pub const USE_PPK: u16 = 16_435;
    /// PPK_IDENTITY (16436) (RFC 8784).
    pub const PPK_IDENTITY: u16 = 16_436;
    /// NO_PPK_AUTH (16437) (RFC 8784).
    pub const NO_PPK_AUTH: u16 = 16_437;
    /// INTERMEDIATE_EXCHANGE_SUPPORTED (16438) (RFC 9242).
    pub const INTERMEDIATE_EXCHANGE_SUPPORTED: u16 = 16_438;
    /// ADDITIONAL_KEY_EXCHANGE (16441) (RFC 9370).
    pub const ADDITIONAL_KEY_EXCHANGE: u16 = 16_441;
    /// SUPPORTED_AUTH_METHODS (16443) (RFC 9593).
    pub const SUPPORTED_AUTH_METHODS: u16 = 16_443;
}
