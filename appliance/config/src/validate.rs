use std::collections::BTreeMap;

use crate::document::Node;
use crate::model::{
    Certificate, Connection, Gateway, GatewayDraft, Interface, KeyProvider, Name, NatRule, Policy,
    References, RoutePolicy, Site, System, Trust, User,
};
use crate::reader::{Collection, Report, Value};
use crate::{Problem, Reason, rules};

/// A document as it was written: JSON, and nothing more is known of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Config(pub(crate) Node);

/// A document that keeps every rule; nothing downstream checks again. Two that are equal say the same, whatever of it was
/// written out; the default is that of a machine that nobody has configured.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ValidConfig {
    /// The machine itself.
    pub system: System,
    /// Every network interface; none where the host manages them.
    pub interfaces: BTreeMap<Name, Interface>,
    /// Our side.
    pub gateway: Gateway,
    /// Every site, connected or not.
    pub sites: BTreeMap<Name, Site>,
    /// Every policy, used or not, the built-in ones too.
    pub policies: BTreeMap<Name, Policy>,
    /// Every connection, enabled or not.
    pub connections: BTreeMap<Name, Connection>,
    /// Every rule of translation, used or not.
    pub nat_rules: BTreeMap<Name, NatRule>,
    /// Every route policy, used or not.
    pub route_policies: BTreeMap<Name, RoutePolicy>,
    /// Everybody who may log in.
    pub users: BTreeMap<Name, User>,
    /// Every certificate of ours, used or not.
    pub certificates: BTreeMap<Name, Certificate>,
    /// Whom certificates of others are believed by.
    pub trust: BTreeMap<Name, Trust>,
    /// Who holds private keys.
    pub key_providers: BTreeMap<Name, KeyProvider>,
}

/// Names that the document cannot give to a policy of its own.
const BUILT_IN_POLICIES: &[&str] = &[Policy::MODERN, Policy::AZURE_DEFAULT, Policy::AZURE_POLICY_BASED];

impl Config {
    /// Reads JSON text of at most [`crate::MAX_BYTES`].
    ///
    /// # Errors
    /// The one reason why it is not JSON; nothing else can be said of it then.
    pub fn parse(bytes: &[u8]) -> Result<Self, Problem> {
        Node::parse(bytes).map(Self)
    }

    /// Follows every reference, fills in every default and checks every rule.
    ///
    /// # Errors
    /// All that is wrong, by path.
    pub fn validate(self) -> Result<ValidConfig, Vec<Problem>> {
        let report = Report::default();
        let config = document(&Value::root(&self.0, &report), &report);
        let problems = report.finish();
        config.filter(|_| problems.is_empty()).ok_or(problems)
    }
}

/// [`Config::parse`] and [`Config::validate`] in one.
///
/// # Errors
/// All that is wrong, by path.
pub fn parse(bytes: &[u8]) -> Result<ValidConfig, Vec<Problem>> {
    Config::parse(bytes).map_err(|problem| vec![problem])?.validate()
}

fn document(value: &Value<'_>, report: &Report) -> Option<ValidConfig> {
    let mut object = value.object()?;
    let schema = object.optional("schema", 1, |value| value.whole::<u32>(1..=1));
    let key_providers = object.collection("key_providers", KeyProvider::read);
    let certificates = object.collection("certificates", |value| Certificate::read(value, &key_providers));
    let trust = object.collection("trust", Trust::read);
    let system = object.optional("system", System::default(), |value| System::read(value, &trust));
    let interfaces = Interface::read_all(&mut object);
    let users = object.collection("users", User::read);
    let gateway = object.take("gateway");
    let has_gateway = gateway.is_some();
    let gateway = gateway
        .and_then(|value| GatewayDraft::read(&value, &interfaces))
        .unwrap_or_else(GatewayDraft::unknown);
    let sites = object.collection("sites", Site::read);
    let policies = policies(object.collection("policies", Policy::read), report);
    let nat_rules = object.collection("nat_rules", |value| {
        NatRule::read(value, &gateway.ip_configurations)
    });
    let route_policies = object.collection("route_policies", |value| RoutePolicy::read(value, &sites));
    let references = References {
        gateway: &gateway,
        sites: &sites,
        policies: &policies,
        certificates: &certificates,
        trust: &trust,
        nat_rules: &nat_rules,
        route_policies: &route_policies,
    };
    let connections = object.collection("connections", |value| Connection::read(value, &references));
    let needs_gateway = !sites.is_empty() || !connections.is_empty();
    if needs_gateway && !has_gateway {
        object.lacks("gateway", "\"gateway\" must be given where there are sites");
    }
    drop(object);

    rules::check(&gateway, &sites, &connections, &nat_rules, report);
    rules::interfaces::check(&interfaces, &gateway, report);
    schema?;
    Some(ValidConfig {
        system: system?,
        interfaces: interfaces.all()?,
        gateway: if has_gateway {
            gateway.complete()?
        } else {
            Gateway::default()
        },
        sites: sites.all()?,
        policies: policies.all()?,
        connections: connections.all()?,
        nat_rules: nat_rules.all()?,
        route_policies: route_policies.all()?,
        users: users.all()?,
        certificates: certificates.all()?,
        trust: trust.all()?,
        key_providers: key_providers.all()?,
    })
}

/// The policies of the document beside those that are built in.
fn policies(mut written: Collection<Policy>, report: &Report) -> Collection<Policy> {
    for (word, policy) in BUILT_IN_POLICIES.iter().zip([
        Policy::modern(),
        Policy::azure_default(),
        Policy::azure_policy_based(),
    ]) {
        let Ok(name) = word.parse::<Name>() else { continue };
        if written.insert(name, policy) {
            let path = format!("/policies/{word}");
            report.add(
                &path,
                Reason::BuiltInName,
                format!("{word} is built in; choose another name"),
            );
        }
    }
    written
}
