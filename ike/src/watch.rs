//! Which selector lines the datapath watches, because their Child SAs are made when a packet wants through.

use crate::v2::lines::comes_with_tunnel;
use crate::v2::nat::Path;
use crate::{Action, Connection, ConnectionName, Watched};

/// What the datapath watches for one connection.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    /// The outer addresses that it was told.
    between: Option<Path>,
}

impl Watch {
    /// An IKE SA between these addresses can make children: tells the datapath, if it does not know that.
    pub(crate) fn begin(
        &mut self,
        name: &ConnectionName,
        settings: &Connection,
        path: Path,
    ) -> Option<Action> {
        if self.between == Some(path) || settings.lines.len() < 2 {
            return None;
        }
        let lines = settings.lines.iter().enumerate();
        let on_demand = lines.filter(|(place, _)| !comes_with_tunnel(settings, *place));
        let watched = on_demand.map(|(line, selectors)| Watched {
            line,
            local: path.local,
            remote: path.remote,
            local_selectors: selectors.local.clone(),
            remote_selectors: selectors.remote.clone(),
        });
        let watched: Vec<_> = watched.collect();
        (!watched.is_empty()).then(|| {
            self.between = Some(path);
            Action::Watch(name.clone(), watched)
        })
    }

    /// No IKE SA can make children any more.
    pub(crate) fn end(&mut self, name: &ConnectionName) -> Option<Action> {
        let watched = self.between.take();
        watched.map(|_| Action::Watch(name.clone(), Vec::new()))
    }
}
