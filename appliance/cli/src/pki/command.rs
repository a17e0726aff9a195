use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use rcgen::SanType;

use super::{make, revoke, show};
use crate::answer::Done;

/// What can be done with certificates for trials.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make an authority: a root that signs itself, may have four intermediates below it, and issues and revokes.
    Ca {
        /// What it calls itself, the common name of its subject.
        #[arg(long, value_parser = common_name)]
        name: String,
        /// How long it is good.
        #[arg(long, default_value_t = 3650, value_parser = days())]
        days: u32,
        #[command(flatten)]
        made: Made,
    },
    /// Have an authority issue a certificate of a gateway, for both sides of an authentication as Azure asks it.
    Leaf {
        /// The folder of the authority.
        #[arg(long, value_name = "DIR")]
        ca: PathBuf,
        /// Whose it is, the common name of its subject.
        #[arg(long, value_name = "CN", value_parser = common_name)]
        subject: String,
        /// A further name: dns:gw.example, ip:192.0.2.1 or email:admin@gw.example.
        #[arg(long = "san", value_name = "NAME", value_parser = further_name)]
        names: Vec<SanType>,
        /// How long it is good, no longer than its authority.
        #[arg(long, default_value_t = 365, value_parser = days())]
        days: u32,
        #[command(flatten)]
        made: Made,
    },
    /// Revoke certificates: write crl.pem of an authority anew, with these and those of before.
    Revoke {
        /// The folder of the authority.
        #[arg(long, value_name = "DIR")]
        ca: PathBuf,
        /// Certificates of this authority (PEM or DER); without any the list stays as it is and is good for longer.
        #[arg(value_name = "CERT")]
        certificates: Vec<PathBuf>,
        /// How long the list is good.
        #[arg(long, default_value_t = 30, value_parser = days())]
        days: u32,
    },
    /// Print whose certificates are in a file (PEM or DER), from whom, until when, for which key and what for.
    Show {
        /// The file.
        file: PathBuf,
    },
}

/// What is made, and where to.
#[derive(Debug, Args)]
pub(crate) struct Made {
    /// The kind of its key.
    #[arg(long, value_enum, default_value_t = Key::Rsa2048)]
    pub(super) key: Key,
    /// The folder for certificate.pem, key.pem, chain.pem and trust.json.
    #[arg(long, value_name = "DIR")]
    pub(super) out: PathBuf,
    /// Replace what is in the folder, a private key too.
    #[arg(long)]
    pub(super) force: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum Key {
    #[value(name = "rsa-2048")]
    Rsa2048,
    #[value(name = "rsa-3072")]
    Rsa3072,
    #[value(name = "rsa-4096")]
    Rsa4096,
    #[value(name = "ecdsa-p256")]
    P256,
    #[value(name = "ecdsa-p384")]
    P384,
}

/// Does it.
pub(crate) fn run(command: &Command) -> Done {
    match command {
        Command::Ca { name, days, made } => make::root(name, *days, made),
        Command::Leaf {
            ca,
            subject,
            names,
            days,
            made,
        } => {
            let wanted = make::Wanted {
                subject,
                names,
                days: *days,
            };
            make::leaf(ca, &wanted, made)
        }
        Command::Revoke {
            ca,
            certificates,
            days,
        } => revoke::run(ca, certificates, *days),
        Command::Show { file } => show::run(file),
    }
}

/// Up to a hundred years.
fn days() -> clap::builder::RangedI64ValueParser<u32> {
    clap::value_parser!(u32).range(1..=36_525)
}

/// With CN= before it or without, and no longer than RFC 5280 appendix A allows.
fn common_name(text: &str) -> Result<String, String> {
    let name = text.strip_prefix("CN=").unwrap_or(text);
    let fits = (1..=64).contains(&name.chars().count()) && !name.chars().any(char::is_control);
    if fits {
        Ok(name.to_owned())
    } else {
        Err("a common name has 1 to 64 characters, none of which controls a terminal".to_owned())
    }
}

fn further_name(text: &str) -> Result<SanType, String> {
    let wrong = |why: &str| Err(format!("{why}: expected dns:NAME, ip:ADDRESS or email:NAME@HOST"));
    let (kind, name) = text.split_once(':').unwrap_or(("", text));
    let visible = |name: &str| !name.is_empty() && name.bytes().all(|octet| octet.is_ascii_graphic());
    match kind {
        "dns" if visible(name) && !name.contains(['@', '/', ':']) => {
            name.try_into().map(SanType::DnsName).map_err(|_| name.to_owned())
        }
        "dns" => wrong("this is no name of a host"),
        "ip" => name
            .parse()
            .map(SanType::IpAddress)
            .or_else(|_| wrong("this is no address")),
        "email" if visible(name) && name.split('@').filter(|part| !part.is_empty()).count() == 2 => name
            .try_into()
            .map(SanType::Rfc822Name)
            .map_err(|_| name.to_owned()),
        "email" => wrong("this is no mailbox"),
        _ => wrong("a further name says of which kind it is"),
    }
}
