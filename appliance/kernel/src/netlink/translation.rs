//! The tables whose counters go on: what they have counted, and the next one in its place.

use std::collections::BTreeMap;

use appliance_nat::Counted;

use super::message::Incoming;
use super::perform::{Netlink, refusal};
use crate::counter;
use crate::firewall::Firewall;
use crate::mark;
use crate::nft::{self, Tried};
use crate::object::{Key, Object};
use crate::order::Operation;
use crate::owned::Op;
use crate::refusal::Refusal;
use crate::sysctl;
use crate::translation::Translation;

impl Netlink {
    /// What the counters of the table have counted; nothing where there is no table.
    pub(crate) async fn translated(&mut self) -> Result<BTreeMap<String, Counted>, Refusal> {
        self.counted(&Key::Translation, mark::TRANSLATION_TABLE).await
    }

    /// What the table that closes the machine has dropped, by reason; nothing where there is no table.
    pub(crate) async fn dropped(&mut self) -> Result<BTreeMap<String, Counted>, Refusal> {
        self.counted(&Key::Firewall, mark::FIREWALL_TABLE).await
    }

    async fn counted(&mut self, key: &Key, table: &str) -> Result<BTreeMap<String, Counted>, Refusal> {
        let socket = self.netfilter()?;
        let read = |message: &Incoming<'_>| counter::read(message, table);
        match socket.dump(&counter::query(table), read).await {
            Ok(found) => Ok(found.into_iter().collect()),
            Err(error) if error.is_absence() => Ok(BTreeMap::new()),
            Err(error) => Err(refusal(key, error)),
        }
    }

    /// Closes the machine so; what was dropped before stays counted.
    pub(super) async fn raise(&mut self, key: &Key, firewall: &Firewall) -> Result<(), Refusal> {
        let dropped = self.dropped().await.unwrap_or_else(|refusal| {
            tracing::warn!(%refusal, "what the firewall has dropped starts at nothing");
            BTreeMap::new()
        });
        nft::raise(key, firewall, &dropped).await
    }

    /// Replaces both tables in one transaction, if these are the steps that do so: the kernel lets go of what was there before
    /// once instead of twice. Whether that is done.
    pub(crate) async fn replace_tables(&mut self, one: &Operation, other: &Operation) -> bool {
        let Op::Replace {
            key,
            to: Object::Ruleset(ruleset),
            ..
        } = one
        else {
            return false;
        };
        let Op::Replace {
            from: Object::Translation(before),
            to: Object::Translation(after),
            ..
        } = other
        else {
            return false;
        };
        let Some(change) = after.change(before) else {
            return false;
        };
        let script = ruleset.script() + &change;
        let replaced = nft::apply_after_trial(key, script).await.is_ok();
        if replaced {
            self.forget_outdated(&before.outdated(Some(after))).await;
        }
        replaced
    }

    /// Changes what differs, or replaces the table where that is more work, or somebody has meddled with it.
    pub(super) async fn translate_otherwise(
        &mut self,
        key: &Key,
        before: &Translation,
        after: &Translation,
    ) -> Result<(), Refusal> {
        if let Some(script) = after.change(before)
            && nft::apply_after_trial(key, script).await.is_ok()
        {
            return Ok(());
        }
        self.translate(key, after).await
    }

    /// Tries the table while something else is done, which comes before it.
    pub(crate) fn try_beside(&mut self, translation: &Translation) {
        let Some(script) = translation.creation() else {
            return;
        };
        let known = self.tried.take().filter(|tried| tried.is_of(&script));
        self.tried = Some(known.unwrap_or_else(|| Tried::begin(script)));
    }

    /// What was tried is not made.
    pub(crate) fn try_nothing(&mut self) {
        self.tried = None;
    }

    /// Lets the table translate so; what its counters have counted stays.
    pub(super) async fn translate(&mut self, key: &Key, translation: &Translation) -> Result<(), Refusal> {
        let counted = self.translated().await.unwrap_or_else(|refusal| {
            tracing::warn!(%refusal, "what rules of translation have counted starts at nothing");
            BTreeMap::new()
        });
        let tried = self.tried.take();
        // A table of ours has counters.
        if !(counted.is_empty() && self.begin_translation(key, translation, tried).await) {
            let script = translation.replacement(&counted);
            nft::apply_after_trial(key, script.ok_or_else(|| nft::unknown(key))?).await?;
        }
        sysctl::prepare_tracking();
        Ok(())
    }

    /// Makes the table, if nobody else has made one. Whether that is done.
    async fn begin_translation(&self, key: &Key, translation: &Translation, tried: Option<Tried>) -> bool {
        let Some(script) = translation.creation() else {
            return false;
        };
        let tried = tried.filter(|tried| tried.is_of(&script));
        let tried = tried.unwrap_or_else(|| Tried::begin(script));
        tried.apply(key).await.is_ok()
    }
}
