//! The generator handed to the cores.

use ike::Random;

/// The operating system's generator by way of AWS-LC.
pub(crate) struct SystemRandom;

impl Random for SystemRandom {
    fn fill(&mut self, bytes: &mut [u8]) {
        if aws_lc_rs::rand::fill(bytes).is_err() {
            tracing::error!("the system's random generator failed: there is nothing safe to go on with");
            std::process::abort();
        }
    }
}

impl appliance_dhcp::Random for SystemRandom {
    fn number(&mut self) -> u32 {
        let mut octets = [0; 4];
        self.fill(&mut octets);
        u32::from_ne_bytes(octets)
    }
}
