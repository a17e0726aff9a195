use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use appliance_nat::{Answered, End, Numbers, Outcome, Packet, Program, Rules, Source, Verdict, compile};

use super::owner::KernelOwner;
use crate::datapath::{Foreseen, Refused};

/// The links by which addresses are reached.
type Ways = BTreeMap<IpAddr, Option<String>>;

impl KernelOwner {
    /// What would become of the first packet of a flow, by the rules that are to be in force and the routes that the kernel
    /// has now. It is asked for one address after the other, as they come up.
    pub(super) async fn foresee(&mut self, packet: &Packet) -> Result<Box<Foreseen>, Refused> {
        let program = match self.translating.program() {
            Some(program) => program,
            None => nothing()?,
        };
        let mut ways = Ways::new();
        let (verdict, answered) = loop {
            match judge(&program, packet, &ways) {
                Ok(judged) => break judged,
                Err(unknown) => {
                    for address in unknown {
                        let way = self.kernel.way_to(address).await;
                        let way = way.map_err(|refusal| Refused::from(&refusal))?;
                        ways.insert(address, way.map(|link| link.to_string()));
                    }
                }
            }
        };
        Ok(Box::new(Foreseen {
            in_place: self.translating.is_in_place(self.kernel.translation()),
            program,
            verdict,
            answered,
            ways,
        }))
    }
}

/// The program of no rules.
fn nothing() -> Result<Arc<Program>, Refused> {
    let program = compile(&Rules::default(), &Numbers::default());
    program.map(Arc::new).map_err(|too_many| Refused {
        object: "translation of addresses".to_owned(),
        attribute: None,
        detail: too_many.to_string(),
    })
}

/// What becomes of a packet and of the answer to it; or the addresses whose way must be known first.
fn judge(
    program: &Program,
    packet: &Packet,
    ways: &Ways,
) -> Result<(Verdict, Option<Answered>), BTreeSet<IpAddr>> {
    let unknown = RefCell::new(BTreeSet::new());
    let routes = |address: IpAddr| {
        let way = ways.get(&address);
        if way.is_none() {
            unknown.borrow_mut().insert(address);
        }
        way.cloned().flatten()
    };
    let verdict = program.evaluate(packet, &routes);
    let left_as = left_as(packet, &verdict);
    let answered = left_as.and_then(|source| program.answer(packet, &verdict, source, &routes));
    let unknown = unknown.into_inner();
    if unknown.is_empty() {
        Ok((verdict, answered))
    } else {
        Err(unknown)
    }
}

/// Where the packet is from when it leaves: of many addresses and ports the first.
fn left_as(packet: &Packet, verdict: &Verdict) -> Option<End> {
    match &verdict.outcome {
        Outcome::Refused { .. } => None,
        Outcome::Passed(passed) => match &passed.source {
            Source::Is(end) => Some(*end),
            Source::OneOf { addresses, ports } => Some(End {
                address: addresses.network(),
                port: packet
                    .source
                    .port
                    .map(|before| ports.first().map_or(before, |range| *range.start())),
            }),
        },
    }
}
