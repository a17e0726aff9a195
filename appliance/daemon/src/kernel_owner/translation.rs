use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use appliance_kernel::{Kernel, Key, Object, Translation};
use appliance_nat::{Binding, Counted, Numbers, Program, Rules, TooMany, compile};
use ike::ConnectionName;
use tracing::{debug, warn};

use super::owner::KernelOwner;
use super::usage::{Usage, ports};
use crate::chronicle::{News, Teller};
use crate::datapath::{BindingSnapshot, DynamicSnapshot, Refused, TranslationSnapshot};

/// From so many hundredths of its ports on a dynamic rule is told to have none left: the kernel looks for a free one by
/// trying some, and does not find the last.
const EXHAUSTED: u64 = 95;

/// What is to be translated, and what is.
#[derive(Debug, Default)]
pub(super) struct Translating {
    rules: Rules,
    wanted: Option<Translation>,
    /// What was worked out for rules that are not in force yet.
    soon: Option<(Rules, Translation)>,
    /// More than the kernel can tell apart.
    refused: Option<Refused>,
    /// The connections that the table knows.
    known: BTreeSet<String>,
    /// How many flows were refused when that was last asked; `None` before.
    refused_flows: Option<u64>,
    /// The bindings that are told to have no port left.
    exhausted: BTreeSet<String>,
}

impl Translating {
    /// These rules are in force from now on, beside what the kernel has. Bindings that stay keep their numbers, so that their
    /// flows go on; after a commit that is taken back, too.
    pub(super) fn configure(&mut self, rules: &Rules, present: Option<&Translation>) {
        if *rules != self.rules || self.refused.is_some() {
            self.refused = None;
            let soon = self.soon.take();
            let soon = soon.filter(|(known, _)| known == rules && present.is_none());
            if rules.tunnels.is_empty() {
                self.wanted = None;
            } else if let Some((_, translation)) = soon {
                self.wanted = Some(translation);
            } else {
                match translation(rules, present) {
                    Ok(translation) => self.wanted = Some(translation),
                    Err(too_many) => {
                        self.refused = Some(Refused {
                            object: "translation of addresses".to_owned(),
                            attribute: None,
                            detail: too_many.to_string(),
                        });
                    }
                }
            }
            self.rules = rules.clone();
        }
        self.look(present);
    }

    /// What would do what these rules say, if nothing does yet.
    pub(super) fn work_out(&mut self, rules: Rules, present: Option<&Translation>) -> Option<&Translation> {
        if rules.tunnels.is_empty() || rules == self.rules || present.is_some() {
            return None;
        }
        let translation = translation(&rules, present).ok()?;
        self.soon = Some((rules, translation));
        self.soon.as_ref().map(|(_, translation)| translation)
    }

    /// The kernel has this table now.
    pub(super) fn look(&mut self, present: Option<&Translation>) {
        if present.is_none() {
            self.known.clear();
        } else if self.is_in_place(present) {
            self.known = self.rules.tunnels.keys().cloned().collect();
        }
    }

    /// Whether the table does what the rules say.
    pub(super) fn is_in_place(&self, present: Option<&Translation>) -> bool {
        self.refused.is_none() && present == self.wanted.as_ref()
    }

    /// The connections whose rules no table knows. What is to be translated neither leaves nor comes as it is.
    pub(super) fn missing(&self) -> BTreeSet<ConnectionName> {
        let tunnels = self.rules.tunnels.keys();
        let missing = tunnels.filter(|name| !self.known.contains(*name));
        missing
            .map(|name| ConnectionName(Arc::from(name.as_str())))
            .collect()
    }

    /// The table that is to be there.
    pub(super) fn object(&self) -> Option<(Key, Object)> {
        let object = Object::from(self.wanted.clone()?);
        Some((object.key(), object))
    }

    /// Why the rules are not in force, if it is not the kernel that refuses them.
    pub(super) fn refused(&self) -> Option<&Refused> {
        self.refused.as_ref()
    }
}

/// What does what the rules say, with the numbers of what is there.
fn translation(rules: &Rules, present: Option<&Translation>) -> Result<Translation, TooMany> {
    let none = Numbers::default();
    let kept = present.map_or(&none, Translation::numbers);
    compile(rules, kept).map(Translation::of)
}

/// How rules of translation do.
impl KernelOwner {
    /// Everything that is known of them.
    pub(super) async fn translation_snapshot(&mut self) -> TranslationSnapshot {
        let by_kernel = self.kernel.refusals().get(&Key::Translation).map(Refused::from);
        let known = TranslationSnapshot {
            wanted: !self.translating.rules.tunnels.is_empty(),
            in_place: self.translating.is_in_place(self.kernel.translation()),
            refused: self.translating.refused().cloned().or(by_kernel),
            closed: self.translating.missing(),
            ..TranslationSnapshot::default()
        };
        let Some(program) = self.translating.program() else {
            return known;
        };
        TranslationSnapshot {
            bindings: bindings(&mut self.kernel, &program).await,
            flows_refused: self.kernel.flows_refused().await.unwrap_or_default(),
            ..known
        }
    }

    /// Looks for dynamic rules that have no port left. What connection tracking refuses says when that may be.
    pub(super) async fn look_for_exhaustion(&mut self) {
        let Some(program) = self.translating.program() else {
            return;
        };
        let refused = match self.kernel.flows_refused().await {
            Ok(refused) => refused,
            Err(refusal) => return debug!(%refusal, "statistics of connection tracking"),
        };
        let before = self.translating.refused_flows.replace(refused);
        let grew = before.is_some_and(|before| refused > before);
        if grew || !self.translating.exhausted.is_empty() {
            let bindings = bindings(&mut self.kernel, &program).await;
            self.translating.tell_of_exhaustion(&bindings, grew, &self.teller);
        }
    }
}

impl Translating {
    /// What the table that is to be there does.
    pub(super) fn program(&self) -> Option<Arc<Program>> {
        self.wanted.as_ref()?.program().cloned()
    }

    fn tell_of_exhaustion(&mut self, bindings: &[BindingSnapshot], grew: bool, teller: &Teller) {
        let mut exhausted = BTreeSet::new();
        for binding in bindings {
            let Some(dynamic) = binding.dynamic else { continue };
            let object = format!("NAT rule {} on {}", binding.rule, binding.connection);
            let full = dynamic.ports_in_use.saturating_mul(100) >= dynamic.ports.saturating_mul(EXHAUSTED);
            let told = self.exhausted.contains(&object);
            if full && (grew || told) {
                if !told {
                    let (used, all) = (dynamic.ports_in_use, dynamic.ports);
                    let detail = format!(
                        "{used} of {all} ports of {} are in use, and new flows find none: they are dropped, others go on; give \
                         the rule more ports or addresses",
                        binding.external
                    );
                    warn!(
                        connection = binding.connection,
                        rule = binding.rule,
                        "nat-ports-exhausted: {detail}"
                    );
                    let news = News::new("nat-ports-exhausted")
                        .to(&ConnectionName(Arc::from(binding.connection.as_str())));
                    teller.tell(news.object(object.clone()).detail(detail));
                }
                exhausted.insert(object);
            }
        }
        self.exhausted = exhausted;
    }
}

/// Each rule on each connection. What cannot be read counts as nothing.
async fn bindings(kernel: &mut Kernel, program: &Program) -> Vec<BindingSnapshot> {
    let counted = kernel.translated().await.unwrap_or_else(|refusal| {
        debug!(%refusal, "counters of rules of translation");
        BTreeMap::new()
    });
    let mut usage = Usage::of(program);
    if let Err(refusal) = kernel.flows(|flow| usage.count(&flow)).await {
        debug!(%refusal, "flows of rules of translation");
    }
    let sums = usage.sums();
    let all = program.bindings().iter();
    all.map(|(number, binding)| {
        let (flows, in_use) = sums.get(number).copied().unwrap_or_default();
        snapshot(binding, &counted, flows, in_use)
    })
    .collect()
}

fn snapshot(
    binding: &Binding,
    counted: &BTreeMap<String, Counted>,
    flows: u64,
    ports_in_use: u64,
) -> BindingSnapshot {
    let counter = |name: &str| counted.get(name).copied().unwrap_or_default();
    let dynamic = ports(&binding.rule)
        .zip(binding.refused())
        .map(|(ports, refused)| DynamicSnapshot {
            ports_in_use,
            ports,
            refused: counter(&refused),
        });
    BindingSnapshot {
        connection: binding.connection.clone(),
        rule: binding.name.clone(),
        mode: binding.mode,
        internal: binding.rule.internal,
        external: binding.rule.external,
        translated: counter(binding.key.as_str()),
        flows,
        dynamic,
    }
}
