//! Real gateways, real packets. One file per scenario; the same scenarios run natively over the user-space datapath and
//! in a virtual machine over the kernel's.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

mod admin;
mod anywhere;
mod azure;
mod bgp;
mod bgp_bfd;
mod bgp_capabilities;
mod bgp_hostile;
mod bgp_limit;
mod bgp_mrt;
mod bgp_prepend;
mod bgp_restart;
mod bgp_session;
mod bgp_tcp_ao;
mod capture;
mod certificate_peer;
mod certificates;
mod childless;
mod claim;
mod closed;
mod commit;
mod cut_off;
mod disk_full;
mod encapsulation;
mod establish;
mod firewall;
mod flood;
mod fragmentation;
mod hostile;
mod ikev1;
mod ikev1_matrix;
mod interfaces;
mod ipv6;
mod key_providers;
mod lab;
mod mobike;
mod names;
mod nat;
mod nat_bgp;
mod nat_dynamic;
mod nat_four;
mod nat_six;
mod outer;
mod pair;
mod ppk;
mod redirect;
mod refusal;
mod rekey;
mod reload;
mod restart;
mod rotation;
mod several;
mod suites;
mod ten;
mod transit;
