use std::path::Path;
use std::{fs, io};

use crate::{
    bgp_message, bgp_speaker, bundle, chain, configuration, configuration_document, delete, dhcp, engine,
    engine_v1, esp, insider, message, message_v1, mrt_record, notify, pair, payload, security_association,
    selectors,
};

/// One fuzz target.
#[derive(Clone, Copy)]
pub struct Target {
    /// The name of its program in `fuzz_targets` and of its folder in `corpus`.
    pub name: &'static str,
    /// Panics where an invariant breaks.
    pub body: fn(&[u8]),
}

/// Every fuzz target.
pub const TARGETS: &[Target] = &[
    Target {
        name: "bgp_message",
        body: bgp_message,
    },
    Target {
        name: "bgp_speaker",
        body: bgp_speaker,
    },
    Target {
        name: "bundle",
        body: bundle,
    },
    Target {
        name: "chain",
        body: chain,
    },
    Target {
        name: "configuration",
        body: configuration,
    },
    Target {
        name: "configuration_document",
        body: configuration_document,
    },
    Target {
        name: "delete",
        body: delete,
    },
    Target {
        name: "dhcp",
        body: dhcp,
    },
    Target {
        name: "engine",
        body: engine,
    },
    Target {
        name: "engine_v1",
        body: engine_v1,
    },
    Target {
        name: "esp",
        body: esp,
    },
    Target {
        name: "insider",
        body: insider,
    },
    Target {
        name: "message",
        body: message,
    },
    Target {
        name: "message_v1",
        body: message_v1,
    },
    Target {
        name: "mrt_record",
        body: mrt_record,
    },
    Target {
        name: "notify",
        body: notify,
    },
    Target {
        name: "pair",
        body: pair,
    },
    Target {
        name: "payload",
        body: payload,
    },
    Target {
        name: "security_association",
        body: security_association,
    },
    Target {
        name: "selectors",
        body: selectors,
    },
];

/// Runs `body` over one input file, or over every file of a folder; returns how many there were.
pub fn replay(body: fn(&[u8]), path: &Path) -> io::Result<usize> {
    if path.is_file() {
        body(&fs::read(path)?);
        return Ok(1);
    }
    let mut inputs = 0;
    for entry in fs::read_dir(path)? {
        inputs += replay(body, &entry?.path())?;
    }
    Ok(inputs)
}

/// The program of a fuzz target: under `cargo fuzz` the search, else a replay of the inputs named as arguments.
#[macro_export]
macro_rules! target {
    ($body:path) => {
        #[cfg(fuzzing)]
        libfuzzer_sys::fuzz_target!(|bytes: &[u8]| $body(bytes));

        #[cfg(not(fuzzing))]
        fn main() -> std::io::Result<()> {
            for path in std::env::args_os().skip(1) {
                $crate::replay($body, path.as_ref())?;
            }
            Ok(())
        }
    };
}
