use hex_literal::hex;
use proptest::prelude::*;

use super::*;
use crate::{Integrity, Keys};

fn octets(len: u8, first: u8) -> Vec<u8> {
    (0..len).map(|index| first.wrapping_add(index)).collect()
}

fn gcm(len: u8) -> Keys {
    Keys::AesGcm16 {
        key_and_salt: octets(len, 0x10).into(),
    }
}

fn cbc(len: u8, integrity: Integrity, integrity_len: u8) -> Keys {
    Keys::AesCbc {
        key: octets(len, 0x10).into(),
        integrity,
        integrity_key: octets(integrity_len, 0x80).into(),
    }
}

/// The three that peers of old may ask for.
fn weak() -> [Keys; 3] {
    [
        Keys::TripleDes {
            key: octets(24, 0x10).into(),
            integrity: Integrity::HmacMd5_96,
            integrity_key: octets(16, 0x80).into(),
        },
        Keys::Des {
            key: octets(8, 0x10).into(),
            integrity: Integrity::HmacSha1_96,
            integrity_key: octets(20, 0x80).into(),
        },
        Keys::Null {
            integrity: Integrity::HmacSha2_256_128,
            integrity_key: octets(32, 0x80).into(),
        },
    ]
}

fn chacha20_poly1305(first: u8) -> Keys {
    Keys::ChaCha20Poly1305 {
        key_and_salt: octets(36, first).into(),
    }
}

/// Those that Scapy knows come first.
fn every_keys() -> [Keys; 11] {
    let [triple_des, des, null] = weak();
    [
        gcm(20),
        gcm(28),
        gcm(36),
        cbc(16, Integrity::HmacSha1_96, 20),
        cbc(24, Integrity::HmacSha2_256_128, 32),
        cbc(32, Integrity::HmacSha2_384_192, 48),
        cbc(32, Integrity::HmacSha2_512_256, 64),
        chacha20_poly1305(0x10),
        triple_des,
        des,
        null,
    ]
}

fn sa(keys: Keys, extended: bool) -> Sa {
    Sa {
        spi: 0xc0ff_ee01,
        keys,
        extended_sequence_numbers: extended,
    }
}

fn ends(sa: &Sa) -> (Sealer, Opener) {
    (Sealer::new(sa).unwrap(), Opener::new(sa).unwrap())
}

/// An IPv4 packet around this payload, as far as this module looks at it.
fn ipv4(payload: &[u8]) -> Vec<u8> {
    let [high, low] = u16::try_from(payload.len() + 20).unwrap().to_be_bytes();
    let mut packet = vec![
        0x45, 0, high, low, 0, 7, 0, 0, 63, 17, 0, 0, 10, 1, 0, 10, 10, 2, 0, 10,
    ];
    packet.extend_from_slice(payload);
    packet
}

fn sealed(sealer: &mut Sealer, inner: &[u8]) -> Vec<u8> {
    let mut out = vec![0; inner.len() + OVERHEAD];
    let len = sealer.seal(inner, &mut out).unwrap();
    assert_eq!(len, sealer.sealed_len(inner.len()));
    out.truncate(len);
    out
}

fn opened(opener: &mut Opener, esp: &[u8]) -> Result<Option<Vec<u8>>, OpenError> {
    let mut esp = esp.to_vec();
    Ok(opener.open(&mut esp)?.map(|range| esp[range].to_vec()))
}

const INNER_V4: &[u8] = &hex!(
    "4500002e000700003f1167a20a01000a0a02000a03e807d0001a0ec77468726f756768207468652062726964"
    "6765"
);
const INNER_V6: &[u8] = &hex!(
    "60000000001a113f20010db800010000000000000000000120010db800020000000000000000000103e807d0"
    "001ac7667468726f7567682074686520627269646765"
);
/// Sequence number, and the packets around [`INNER_V4`] and [`INNER_V6`], for each of [`every_keys`] in turn.
const SCAPY: [(u64, &[u8], &[u8]); 7] = [
    (
        5,
        &hex!(
            "c0ffee010000000561005d3f628c740bf8e7c34fda3a03124fa5aaa60d4c2ce33afccf92b0dcbbf41d560454"
            "f9250f2c0e4b05ec4805a1f49e2f94046f21e78d2cade2d0d203ba27ca90a2ef248a0c56"
        ),
        &hex!(
            "c0ffee01000000056b2fdb4c948f664084237b2ebccf9a69911c9a31c73c18da310f19c2c887cb6e2b81e343"
            "96d90638ffa241f123b6754b5b95a230963bb164703697a3bad7be26098c8f889f5c59466c0b5d04976e0b4f"
            "e20d6abac2c6d7479febb7fa"
        ),
    ),
    (
        0x1_0000_0005,
        &hex!(
            "c0ffee0100000005ce5d3a428851f160898132a8544b15d7b6f324f6257ee6760c11f79b01cb8be699630692"
            "60c867032d8fe013d042753b3c5eeb0cb6e640d0b800a20694ebc2d90678562ce43d5736"
        ),
        &hex!(
            "c0ffee0100000005de880f2cc9318ab00985f80f1cd471cf9fc661769ce239d7b8d787cda3ddc566297f7a77"
            "007d20f3cf95dd14b93c9345e4d29a1276416327f0dd9fe8c679e294b40045c401d70bd65d68b3887a7680a9"
            "45261a55575ab0654163cb1f"
        ),
    ),
    (
        0x2_0000_0005,
        &hex!(
            "c0ffee0100000005544a2e86f25d655614a72b88733769a4981cdf1bc45967be7ec84eb6e6dad29649b7c1a0"
            "0dcad52db54576d165df2e85e327efed1f9327ca7a1be3d5a80d0b746fe74822b6efc85b"
        ),
        &hex!(
            "c0ffee010000000558cdb09b3c8a0e6b6bad86694b14314f68a3398bec08cb92e803674efefd95ff11bc7c63"
            "f1be483345da0c554ebf941b636e19d6d1d51ae19b7b37b6fe88bacaf393ddcc6719cd9cdf4b65b972a6f57c"
            "e5dc6094ae008f0111d14200"
        ),
    ),
    (
        5,
        &hex!(
            "c0ffee01000000059208befd44bf42249201c3ce782cf41a72ac6bf3e4b2372f6ba033beda864a1ea06e504e"
            "3d4493360a64648135e2eb1be7d53e1ea71b2e0975cdf554ee5f80a5e0eb6dbc82651bfeb300e355"
        ),
        &hex!(
            "c0ffee0100000005bf50c4798de3c154a24fcf784cf4adfe869294d2f52da54807211f4844bedc35a3c00bc7"
            "74a83493de369c4fc28ae753adbdd3a736456c3e6fb444a6f595b458c35aea80cb08053a7e31e41bcf499f83"
            "de5670e4eef18fc9509ba38c006a1ea538cd791c66846d0ff3eb3f44"
        ),
    ),
    (
        5,
        &hex!(
            "c0ffee0100000005777ed87a5c3761ecc1daf68f2790cb5738a8be6e16765f272dcb799ac876917fb1e14dc4"
            "58cb8249aec18f1eb44a1a95dec9403d06e941cb34623018b5bbb7e4b38b88f91b4d3a6184516ffb07759c30"
        ),
        &hex!(
            "c0ffee0100000005d7deef6f424f158e3ff8d1c3aaca06f910c8ff2c19beac3cab0cfccccf8fa1ac4e1e90a4"
            "b28cd459af3aed174b8dd308a8ed744b3a0a65dc1f67ed5c9e74252139f2fd9eae40b872517bb18c31f58e87"
            "a45435d0861e0dbd24a98c20871727c8c8a5b67d66a277e3786cc2a0f59fbe3a"
        ),
    ),
    (
        5,
        &hex!(
            "c0ffee01000000051c4bf2d7be96d159fea9e9af99e0c70a19e0fe1ce1b54e343c908adba07811a4b1db79c3"
            "9af642cc661578c1849e45955a61a11382ca6fa109d3eab0648b17ac677584ec9016a42169e68259515ef628"
            "4f16d0131fbe95ea"
        ),
        &hex!(
            "c0ffee01000000050b5222fda72c3a7f75f64438ea6a38f0c29b1c123ae33785b399197c992e200ecafe192c"
            "37e0558008f09e799d87d144eef93401a130e438d4d6a66576d001976d1b90e5197ff116d85a757fa9855c5a"
            "4937278feb50c18106c969b9eb95f274b0de927869570ad634d2bac27a762aa478d760b47778b342"
        ),
    ),
    (
        0x3_0000_0005,
        &hex!(
            "c0ffee0100000005bf3ed6e7ce227b1a4a8034883442c38b05971df28046e709ce23bd04accae78ea7fbcab1"
            "6ec3b1075a40fe4383a0a26777d6b33b2aa4de511634cba21066a63c00a45b713164c47abff09522c2334fe1"
            "1d786f2dc551d4431aa7dca73eaa12f7"
        ),
        &hex!(
            "c0ffee01000000056d02eb83a08021d22943efa5c8ee1cd6d0a940e1cb2231b6fe869859f4b4c850a90c3717"
            "cd6e2b547e99bd3360d836de9b81edd1f320c63b2a41d6bd0894a3a18d2a9cd8c8b6ccbfe835ebe89a71ad28"
            "d338f2a68b1e3a93fb6e8622dd1e40054d33054fcbffbcd74841cb5486f55fe68c11776a21a5b94a991911dc"
            "98ee00ca"
        ),
    ),
];

/// Packets that Scapy 2.8.0 (with pyca/cryptography 50.0.2) has made: `SecurityAssociation(ESP, spi=0xc0ffee01, …,
/// tunnel_header=IP(…)).encrypt(inner, seq_num=5, esn=…)`, with keys counting up from 0x10 and 0x80.
#[test]
fn opens_what_another_implementation_has_sealed() {
    for (keys, (sequence, v4, v6)) in every_keys().into_iter().zip(SCAPY) {
        let extended = sequence > 5;
        let sa = sa(keys, extended);
        for (esp, inner) in [(v4, INNER_V4), (v6, INNER_V6)] {
            let mut opener = Opener::new(&sa).unwrap();
            if extended {
                opener.window.accept(sequence - 3);
            }
            assert_eq!(
                opened(&mut opener, esp).unwrap().as_deref(),
                Some(inner),
                "{sa:?}"
            );
            assert_eq!(opened(&mut opener, esp), Err(OpenError::Replay));
        }
    }
}

/// Key and salt, IV, sequence number, SPI, whether extended, plaintext, ciphertext and ICV.
type GcmCase<'a> = (&'a [u8], &'a [u8; 8], u64, u32, bool, &'a [u8], &'a [u8]);

/// draft-mcgrew-gcm-test-01 §4: whole ESP packets with 128-bit and 256-bit keys, the first with extended sequence
/// numbers. Their next header is none of ours, so what is compared is ciphertext and ICV.
#[test]
fn published_gcm_packets() {
    let cases: [GcmCase<'_>; 2] = [
        (
            &hex!("4c80cdefbb5d10da906ac73c3613a6342e443b68"),
            &hex!("4956ed7e3b244cfe"),
            0x8765_4321_0000_0000,
            0x0000_4321,
            true,
            &hex!(
                "45000048699a000080114db7c0a80102c0a801010a9bf15638d301000001000000000000"
                "045f736970045f756470037369700963796265726369747902646b000021000101020201"
            ),
            &hex!(
                "fecf537e729d5b07dc30df528dd22b768d1b98736696a6fd348509fa13ceac34cfa2436f14a3f3cf65925bf1"
                "f4a13c5d15b21e1884f5ff6247aeabb786b93bce61bc17d768fd9732459018148f6cbe722fd04796562dfdb4"
            ),
        ),
        (
            &hex!("abbccddef00112233445566778899aababbccddef00112233445566778899aab11223344"),
            &hex!("0102030405060708"),
            2,
            0x4a2c_bfe3,
            false,
            &hex!(
                "4500003069a6400080062690c0a801029389155e0a9e008b2dc57ee000000000"
                "7002400020bf0000020405b40101040201020201"
            ),
            &hex!(
                "ff425c9b724599df7a3bcd510194e00d6a78107f1b0b1cbf06efae9d65a5d763"
                "748a637985771d347f0545659f14e99def842d8eb335f4eecfdbf831824b4c4915956c96"
            ),
        ),
    ];
    for (key, iv, sequence, spi, extended, plain, sealed) in cases {
        let cipher = OpeningCipher::new(&Keys::AesGcm16 {
            key_and_salt: key.to_vec().into(),
        })
        .unwrap();
        let mut body = [iv.as_slice(), sealed].concat();
        let head = Authenticated::new(spi, sequence, extended);
        assert_eq!(cipher.open(&head, &mut body), Ok(()));
        assert_eq!(&body[8..8 + plain.len()], plain);
    }
}

/// RFC 7634 appendix A: a ping whose IV we would choose otherwise.
#[test]
fn published_chacha20_poly1305_packet() {
    let sa = Sa {
        spi: 0x0102_0304,
        keys: chacha20_poly1305(0x80),
        extended_sequence_numbers: false,
    };
    let packet = hex!(
        "01020304000000051011121314151617"
        "24039428b97f417e3c13753a4f05087b67c352e6a7fab1b982d466ef407ae5c6"
        "14ee8099d52844eb61aa95dfab4c02f72aa71e7c4c4f64c9befe2facc638e8f3"
        "cbec163fac469b502773f6fb94e664da9165b82829f641e0"
        "76aaa8266b7fb0f7b11b369907e1ad43"
    );
    let inner = hex!(
        "45000054a6f200004001e778c6336405c000020508005b7a3a080000553bec10"
        "0007362708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f20212223"
        "2425262728292a2b2c2d2e2f3031323334353637"
    );
    let (mut sealer, mut opener) = ends(&sa);
    assert_eq!(
        opened(&mut opener, &packet).unwrap().as_deref(),
        Some(inner.as_slice())
    );
    assert_eq!(
        sealed(&mut sealer, &inner).len(),
        packet.len(),
        "padded as published"
    );
}

/// Packets that Python's `cryptography` and `hmac` made, of the algorithms that have none published.
#[test]
fn weak_packets_agree_with_others() {
    let inner = hex!("4500001c00070000401100000a01000a0a02000a61207061636b6574");
    let packets: [&[u8]; 3] = [
        &hex!(
            "c0ffee0100000001404142434445464714baadc6c37a4f7bfd395b16956865bd89ca1deead57f7a9"
            "db151eb08235de6c499da44fc5a33c5e15adf7ec"
        ),
        &hex!(
            "c0ffee01000000014041424344454647104adfda1537b86b1f67f55570ef4c5916383124cbb39353"
            "0ba09b5bd04c2878902c706d021d7b73b3c7e36d"
        ),
        &hex!(
            "c0ffee01000000014500001c00070000401100000a01000a0a02000a61207061636b657401020204"
            "75d92f8014a8be8acce45bf5608a1985"
        ),
    ];
    for (keys, packet) in weak().into_iter().zip(packets) {
        let (mut sealer, mut opener) = ends(&sa(keys, false));
        assert_eq!(
            opened(&mut opener, packet).unwrap().as_deref(),
            Some(inner.as_slice())
        );
        assert_eq!(sealed(&mut sealer, &inner).len(), packet.len());
    }
}

/// RFC 3602 §4, cases 7 and 8, pings in tunnel mode: what lies under the ICV, which they do without.
#[test]
fn published_cbc_packets() {
    let key = hex!("0123456789abcdef0123456789abcdef");
    let cases: [(&[u8], &[u8]); 2] = [
        (
            &hex!(
                "f4e765244f6407adf13dc1380f673f37773b5241a4c449225e4f3ce5ed611b0c237ca96cf74a9301"
                "3c1b0ea1a0cf70f8e4ecaec78ac53aad7a0f022b859243c647752e94a859352b8a4d4d2decd136e5"
                "c177f132ad3fbfb2201ac9904c74ee0a109e0ca1e4dfe9d5a100b842f1c22f0d"
            ),
            &hex!(
                "45000054090400004001f988c0a87b03c0a87bc808009f76a90a0100b49c083d02a2040008090a0b"
                "0c0d0e0f101112131415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f30313233"
                "34353637"
            ),
        ),
        (
            &hex!(
                "85d47224b5f3dd5d2101d4ea8dffab2215b92683819596a8047232cc00f7048fe45318e11f8a0f62"
                "ede3c3fc61203bb50f980a08c9843fd3a1b06d5c07ff9639b7eb7dfb3512e5de435e7207ed971ef3"
                "d2726d9b5ef6affc6d17a0decbb13892"
            ),
            &hex!(
                "45000044090c00004001f990c0a87b03c0a87bc80800d63caa0a0200c69c083da3de0300ffffffff"
                "ffffffffffffffffffffffffffffffffffffffffffffffffffffffff"
            ),
        ),
    ];
    for (esp, inner) in cases {
        let keys = Keys::AesCbc {
            key: key.to_vec().into(),
            integrity: Integrity::HmacSha1_96,
            integrity_key: octets(20, 0x80).into(),
        };
        let (mut sealer, mut opener) = ends(&sa(keys, false));
        let OpeningCipher::Cbc(cipher) = &opener.cipher else {
            panic!("not CBC")
        };
        let head = Authenticated::new(0xc0ff_ee01, 1, false);
        let icv = cipher.mac.icv(&head, &esp[..16], &esp[16..]);
        let body = [esp, &icv[..12]].concat();
        let packet = [hex!("c0ffee0100000001").as_slice(), &body].concat();
        assert_eq!(opened(&mut opener, &packet).unwrap().as_deref(), Some(inner));
        assert_eq!(
            sealed(&mut sealer, inner).len(),
            packet.len(),
            "padded as published"
        );
    }
}

#[test]
fn no_initialisation_vector_comes_twice() {
    let with_one = every_keys().into_iter();
    for keys in with_one.filter(|keys| !matches!(keys, Keys::Null { .. })) {
        let (mut sealer, _) = ends(&sa(keys, true));
        let (iv, _, _) = sealer.cipher.shape();
        let packet = ipv4(b"again and again");
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..500 {
            assert!(seen.insert(sealed(&mut sealer, &packet)[8..8 + iv].to_vec()));
        }
    }
}

/// RFC 4303 §3.3.3: the counter never cycles.
#[test]
fn refuses_to_send_once_the_numbers_are_used_up() {
    for (extended, limit) in [(false, u64::from(u32::MAX)), (true, u64::MAX)] {
        let (mut sealer, _) = ends(&sa(gcm(20), extended));
        sealer.last = limit - 1;
        let packet = ipv4(b"last");
        sealed(&mut sealer, &packet);
        assert_eq!(sealer.seal(&packet, &mut [0; 200]), Err(SealError::Exhausted));
        assert_eq!(sealer.last, limit);
    }
}

#[test]
fn a_forged_packet_leaves_the_window_alone() {
    for keys in every_keys() {
        let (mut sealer, mut opener) = ends(&sa(keys, false));
        let packet = ipv4(b"genuine");
        let first = sealed(&mut sealer, &packet);
        let mut forged = first.clone();
        forged[4..8].copy_from_slice(&u32::MAX.to_be_bytes());
        assert_eq!(opened(&mut opener, &forged), Err(OpenError::Integrity));
        assert_eq!(opened(&mut opener, &first).unwrap(), Some(packet));
    }
}

#[test]
fn follows_the_high_half_over_the_turn() {
    let (mut sealer, mut opener) = ends(&sa(cbc(32, Integrity::HmacSha2_256_128, 32), true));
    (sealer.last, opener.window) = (0xffff_fffd, Window::new());
    opener.window.accept(0xffff_fff0);
    let packet = ipv4(b"over the turn");
    let packets: Vec<_> = (0..5).map(|_| sealed(&mut sealer, &packet)).collect();
    for index in [3, 0, 4, 1, 2] {
        assert_eq!(
            opened(&mut opener, &packets[index]).unwrap().as_ref(),
            Some(&packet),
            "{index}"
        );
    }
    for esp in packets {
        assert_eq!(opened(&mut opener, &esp), Err(OpenError::Replay));
    }
}

/// Seals octets that are not a well-formed plaintext, as only the peer itself could.
fn seal_raw(text: &[u8]) -> (Opener, Vec<u8>) {
    let (sealer, opener) = ends(&sa(gcm(20), false));
    let mut out = vec![0; 8 + 8 + text.len() + 16];
    sealer
        .cipher
        .seal(&Authenticated::new(0xc0ff_ee01, 1, false), text, &[], &mut out)
        .unwrap();
    (opener, out)
}

#[test]
fn judges_what_was_sealed() {
    let packet = ipv4(&[0x55; 8]);
    let dummy = [0x00, 0x00, 0x00, 59];
    type Case<'a> = (&'a [u8], &'a [u8], Result<Option<usize>, OpenError>);
    let cases: [Case<'_>; 8] = [
        (&packet, &[1, 2, 2, 4], Ok(Some(28))),
        (&packet, &[9, 9, 9, 9, 1, 2, 2, 4], Ok(Some(28))),
        (&dummy[..2], &[0, 59], Ok(None)),
        (&packet, &[2, 1, 2, 4], Err(OpenError::Malformed)),
        (&packet, &[1, 2, 2, 41], Err(OpenError::Malformed)),
        (&packet, &[1, 2, 2, 6], Err(OpenError::Malformed)),
        (&packet, &[1, 2, 255, 4], Err(OpenError::Malformed)),
        (&packet[..26], &[0, 4], Err(OpenError::Malformed)),
    ];
    for (inner, trailer, expected) in cases {
        let (mut opener, mut esp) = seal_raw(&[inner, trailer].concat());
        assert_eq!(
            opener.open(&mut esp).map(|range| range.map(|range| range.len())),
            expected,
            "{trailer:?}"
        );
    }
}

#[test]
fn keys_of_a_wrong_length_are_refused() {
    for keys in [
        gcm(0),
        gcm(16),
        gcm(21),
        cbc(17, Integrity::HmacSha1_96, 20),
        cbc(16, Integrity::HmacSha1_96, 32),
        cbc(16, Integrity::HmacMd5_96, 20),
        Keys::ChaCha20Poly1305 {
            key_and_salt: octets(32, 1).into(),
        },
        Keys::TripleDes {
            key: octets(16, 1).into(),
            integrity: Integrity::HmacMd5_96,
            integrity_key: octets(16, 1).into(),
        },
    ] {
        let sa = sa(keys, false);
        assert_eq!(Sealer::new(&sa).unwrap_err(), InstallError::KeyLength);
        assert_eq!(Opener::new(&sa).unwrap_err(), InstallError::KeyLength);
    }
}

#[test]
fn nothing_prints_keys() {
    let sa = sa(
        Keys::AesGcm16 {
            key_and_salt: vec![0xab; 20].into(),
        },
        false,
    );
    let (sealer, opener) = ends(&sa);
    let printed = format!("{sa:?} {sealer:?} {opener:?}");
    assert!(
        !printed.contains("171, 171") && !printed.contains("abab"),
        "{printed}"
    );
}

proptest! {
    /// Whatever is sealed is opened to the same, once; one changed bit anywhere and it is not.
    #[test]
    fn seal_and_open(payload in proptest::collection::vec(any::<u8>(), 0..1_500), which in 0usize..7, extended: bool, flip: usize) {
        let keys = every_keys().into_iter().nth(which).unwrap();
        let (mut sealer, mut opener) = ends(&sa(keys, extended));
        let packet = ipv4(&payload);
        let esp = sealed(&mut sealer, &packet);
        let mut broken = esp.clone();
        let bit = flip % (esp.len() * 8 - 32) + 32;
        broken[bit / 8] ^= 1 << (bit % 8);
        prop_assert!(opened(&mut opener, &broken).is_err());
        prop_assert_eq!(opened(&mut opener, &esp).unwrap(), Some(packet));
        prop_assert_eq!(opened(&mut opener, &esp), Err(OpenError::Replay));
    }

    /// No octets bring it down.
    #[test]
    fn survives_anything(esp in proptest::collection::vec(any::<u8>(), 0..200), which in 0usize..7, extended: bool) {
        let keys = every_keys().into_iter().nth(which).unwrap();
        let mut opener = Opener::new(&sa(keys, extended)).unwrap();
        prop_assert!(opened(&mut opener, &esp).is_err());
    }
}
