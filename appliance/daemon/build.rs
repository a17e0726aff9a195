//! Tells the program when it was built: no clock that is right shows an earlier time. Has it built anew when files of the
//! console come or go.

use std::time::SystemTime;

fn main() {
    println!("cargo::rerun-if-env-changed=SOURCE_DATE_EPOCH");
    println!("cargo::rerun-if-changed=Cargo.toml");
    println!("cargo::rerun-if-changed=../../web-ui/dist");
    let built = std::env::var("SOURCE_DATE_EPOCH").unwrap_or_else(|_| {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        now.map_or(0, |now| now.as_secs()).to_string()
    });
    println!("cargo::rustc-env=CAUSEWAY_BUILT={built}");
}
