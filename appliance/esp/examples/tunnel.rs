//! One end of a tunnel with fixed keys and no IKE, to try and to measure the datapath alone:
//! `tunnel INTERFACE LOCAL REMOTE gcm128|gcm256|cbc128-sha1|cbc256-sha256 udp|plain [WORKERS]`.
//! The end with the lower address has SPI 0x1001, the other 0x1002. Runs until its input ends.

use std::io::Read;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use appliance_esp::{
    Datapath, Encapsulation, Integrity, Keys, Options, Pair, Sa, Selector, Volume, ike_messages,
};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, interface, local, remote, cipher, encapsulation, rest @ ..] = arguments.as_slice() else {
        return Err("usage: tunnel INTERFACE LOCAL REMOTE CIPHER udp|plain [WORKERS]".into());
    };
    let (local, remote): (IpAddr, IpAddr) = (local.parse()?, remote.parse()?);
    let workers = rest.first().map_or(Ok(0), |workers| workers.parse())?;
    let (ours, theirs) = if local < remote {
        (0x1001, 0x1002)
    } else {
        (0x1002, 0x1001)
    };
    let sa = |spi: u32| {
        let extended_sequence_numbers = true;
        keys(cipher, spi).map(|keys| Sa {
            spi,
            keys,
            extended_sequence_numbers,
        })
    };
    let any = |start: IpAddr, end: IpAddr| Selector {
        protocol: 0,
        start_port: 0,
        end_port: u16::MAX,
        start,
        end,
    };
    let all = vec![
        any(Ipv4Addr::UNSPECIFIED.into(), Ipv4Addr::BROADCAST.into()),
        any(Ipv6Addr::UNSPECIFIED.into(), Ipv6Addr::from([0xff; 16]).into()),
    ];
    let pair = Pair {
        local: SocketAddr::new(local, 4500),
        remote: SocketAddr::new(remote, 4500),
        encapsulation: if encapsulation == "plain" {
            Encapsulation::None
        } else {
            Encapsulation::Udp
        },
        inbound: sa(ours)?,
        outbound: sa(theirs)?,
        local_selectors: all.clone(),
        remote_selectors: all,
        sends: true,
        volume: Volume::UNLIMITED,
    };
    let options = Options {
        workers,
        encapsulation_port: 4500,
    };
    let (ike, _messages) = ike_messages();
    let (datapath, _notices) = Datapath::start(&options, ike)?;
    datapath.bind(local)?;
    datapath.add_interface(interface, 1400)?;
    datapath.install(1, interface, &pair)?;
    std::io::stdin().read_to_end(&mut Vec::new())?;
    eprintln!("{:?} {:?}", datapath.counters(1), datapath.drops());
    Ok(())
}

/// Keys that follow from the SPI: both ends know them, and nobody should use them.
fn keys(cipher: &str, spi: u32) -> Result<Keys, String> {
    let octets = |len: u32| {
        (0..len)
            .map(|index| (spi.wrapping_mul(31) + index).to_be_bytes()[3])
            .collect::<Vec<u8>>()
    };
    let cbc = |key: u32, integrity, len: u32| Keys::AesCbc {
        key: octets(key).into(),
        integrity,
        integrity_key: octets(len).into(),
    };
    match cipher {
        "gcm128" => Ok(Keys::AesGcm16 {
            key_and_salt: octets(20).into(),
        }),
        "gcm256" => Ok(Keys::AesGcm16 {
            key_and_salt: octets(36).into(),
        }),
        "cbc128-sha1" => Ok(cbc(16, Integrity::HmacSha1_96, 20)),
        "cbc256-sha256" => Ok(cbc(32, Integrity::HmacSha2_256_128, 32)),
        _ => Err(format!("unknown cipher {cipher}")),
    }
}
