use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::learnt;
use super::owner::KernelOwner;
use crate::datapath::DatapathSnapshot;

/// How long what has been counted is not asked for: somebody waits for what follows from a new configuration.
const PATIENCE: Duration = Duration::from_millis(250);

impl KernelOwner {
    /// Shows how things stand as soon as nobody waits; who wants to know before asks for it.
    pub(super) fn publish_soon(&mut self) {
        self.outdated = Some(Instant::now() + PATIENCE);
    }

    /// Shows how things stand.
    pub(super) async fn publish(&mut self) {
        self.outdated = None;
        let counters = self.carrier.counters(&mut self.kernel).await;
        for (id, counted) in &counters {
            self.traffic.counted(*id, *counted);
        }
        let carried = self.traffic.sums();
        let kernel_refusals = learnt::shown_refusals(self.kernel.refusals());
        let refused = self
            .refused_links
            .iter()
            .chain(self.refused_children.values())
            .cloned();
        let refused = refused.chain(kernel_refusals).collect();
        let tunnels = self.network.tunnels.iter();
        let interfaces = tunnels
            .map(|(name, tunnel)| (name.clone(), tunnel.numbering.link.clone()))
            .collect();
        let machine = self.interface_snapshots();
        let translation = self.translation_snapshot().await;
        let firewall = self.firewall_snapshot().await;
        let (idle, carried_over) = (&self.idle, self.carried_over(&self.network));
        self.snapshot.send_modify(|snapshot| {
            let (kind, why) = (snapshot.kind, snapshot.why.clone());
            *snapshot = Arc::new(DatapathSnapshot {
                kind,
                why,
                interfaces,
                idle: idle.clone(),
                carried_over,
                counters,
                carried,
                refused,
                machine,
                translation,
                firewall,
            });
        });
    }
}
