//! The generator handed to the cores.

/// The operating system's generator by way of AWS-LC.
pub(crate) struct SystemRandom;

impl SystemRandom {
    fn octets(bytes: &mut [u8]) {
        if aws_lc_rs::rand::fill(bytes).is_err() {
            tracing::error!("the system's random generator failed: there is nothing safe to go on with");
            std::process::abort();
        }
    }
}

impl ike::Random for SystemRandom {
    fn fill(&mut self, bytes: &mut [u8]) {
        Self::octets(bytes);
    }
}

impl bgp::Random for SystemRandom {
    fn fill(&mut self, bytes: &mut [u8]) {
        Self::octets(bytes);
    }
}

impl appliance_dhcp::Random for SystemRandom {
    fn number(&mut self) -> u32 {
        let mut octets = [0; 4];
        Self::octets(&mut octets);
        u32::from_ne_bytes(octets)
    }
}
