use appliance_config::model::Role;

/// What whoever uses a route must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Needs {
    /// Anybody: signing in begins with nothing.
    Nothing,
    /// This role, by whatever proof.
    Role(Role),
    /// This role, and a user in person: no token.
    User(Role),
    /// Root, over the control socket.
    Root,
}

/// Who writes down that it was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Log {
    /// Nobody: it changes nothing.
    Nothing,
    /// The store, together with the change.
    Store,
    /// The gate, once it is answered.
    Gate,
}

/// What holds for one verb of one path.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rule {
    method: &'static str,
    path: &'static str,
    /// Who may.
    pub(crate) needs: Needs,
    /// Who notes it.
    pub(crate) log: Log,
}

const fn rule_of(method: &'static str, path: &'static str, needs: Needs, log: Log) -> Rule {
    Rule {
        method,
        path,
        needs,
        log,
    }
}

const fn reads(path: &'static str, role: Role) -> Rule {
    rule_of("GET", path, Needs::Role(role), Log::Nothing)
}

/// What the console is made of: it knows nothing of the machine.
const fn shows(path: &'static str) -> Rule {
    rule_of("GET", path, Needs::Nothing, Log::Nothing)
}

const fn writes(method: &'static str, path: &'static str) -> Rule {
    rule_of(method, path, Needs::Role(Role::Admin), Log::Store)
}

const fn acts(path: &'static str) -> Rule {
    rule_of("POST", path, Needs::Role(Role::Operator), Log::Store)
}

/// What only an admin does to the machine itself, or sees of what it carries.
const fn manages(path: &'static str) -> Rule {
    rule_of("POST", path, Needs::Role(Role::Admin), Log::Gate)
}

/// Every route and every verb. What is not here is open to nobody over the network.
const RULES: &[Rule] = &[
    shows("/"),
    shows("/icon.svg"),
    shows("/assets/{name}"),
    reads("/api/v1/status", Role::Viewer),
    reads("/api/v1/status/connections", Role::Viewer),
    reads("/api/v1/status/connections/{name}", Role::Viewer),
    reads("/api/v1/status/connections/{name}/log", Role::Viewer),
    reads("/api/v1/status/system", Role::Viewer),
    reads("/api/v1/status/interfaces", Role::Viewer),
    reads("/api/v1/status/interfaces/{name}", Role::Viewer),
    reads("/api/v1/status/keys", Role::Viewer),
    reads("/api/v1/status/keys/{name}", Role::Viewer),
    reads("/api/v1/certificates", Role::Viewer),
    rule_of(
        "POST",
        "/api/v1/certificates:verify",
        Needs::Role(Role::Viewer),
        Log::Nothing,
    ),
    reads("/api/v1/certificates:timeline", Role::Viewer),
    reads("/api/v1/certificates/{name}", Role::Viewer),
    reads("/api/v1/trust", Role::Viewer),
    reads("/api/v1/trust/{name}", Role::Viewer),
    rule_of(
        "POST",
        "/api/v1/certificates/{name}",
        Needs::Role(Role::Operator),
        Log::Gate,
    ),
    rule_of(
        "POST",
        "/api/v1/key-providers/{action}",
        Needs::Role(Role::Operator),
        Log::Gate,
    ),
    reads("/api/v1/status/revocation-lists", Role::Viewer),
    rule_of(
        "POST",
        "/api/v1/revocation-lists:refresh",
        Needs::Role(Role::Operator),
        Log::Gate,
    ),
    reads("/api/v1/status/nat", Role::Viewer),
    rule_of(
        "POST",
        "/api/v1/explain/nat",
        Needs::Role(Role::Viewer),
        Log::Nothing,
    ),
    rule_of(
        "POST",
        "/api/v1/explain/routes",
        Needs::Role(Role::Operator),
        Log::Nothing,
    ),
    reads("/api/v1/status/bgp/peers", Role::Viewer),
    reads("/api/v1/status/bgp/peers/{name}", Role::Viewer),
    reads("/api/v1/status/bgp/routes", Role::Viewer),
    reads("/api/v1/status/bgp/explain", Role::Viewer),
    acts("/api/v1/bgp/peers/{action}"),
    reads("/api/v1/bgp/table.mrt", Role::Viewer),
    rule_of(
        "POST",
        "/api/v1/bgp/table:try",
        Needs::Role(Role::Operator),
        Log::Nothing,
    ),
    reads("/api/v1/bgp/recording", Role::Viewer),
    reads("/api/v1/bgp/recording.mrt", Role::Viewer),
    rule_of(
        "POST",
        "/api/v1/bgp/recording:start",
        Needs::Role(Role::Operator),
        Log::Gate,
    ),
    rule_of(
        "POST",
        "/api/v1/bgp/recording:stop",
        Needs::Role(Role::Operator),
        Log::Gate,
    ),
    reads("/api/v1/events", Role::Viewer),
    reads("/api/v1/metrics", Role::Viewer),
    reads("/api/v1/diagnostics", Role::Operator),
    reads("/api/v1/audit", Role::Admin),
    acts("/api/v1/connections/{action}"),
    manages("/api/v1/connections/{name}/capture"),
    reads("/api/v1/config", Role::Viewer),
    writes("PUT", "/api/v1/config"),
    writes("PATCH", "/api/v1/config"),
    reads("/api/v1/config/{collection}", Role::Viewer),
    writes("PUT", "/api/v1/config/{collection}"),
    writes("PATCH", "/api/v1/config/{collection}"),
    writes("DELETE", "/api/v1/config/{collection}"),
    reads("/api/v1/config/{collection}/{name}", Role::Viewer),
    writes("PUT", "/api/v1/config/{collection}/{name}"),
    writes("PATCH", "/api/v1/config/{collection}/{name}"),
    writes("DELETE", "/api/v1/config/{collection}/{name}"),
    rule_of(
        "POST",
        "/api/v1/config:check",
        Needs::Role(Role::Operator),
        Log::Nothing,
    ),
    writes("POST", "/api/v1/config:confirm"),
    writes("POST", "/api/v1/config:rollback"),
    reads("/api/v1/export", Role::Viewer),
    writes("POST", "/api/v1/export"),
    writes("POST", "/api/v1/import"),
    reads("/api/v1/firmware", Role::Viewer),
    manages("/api/v1/firmware:upload"),
    manages("/api/v1/firmware:install"),
    manages("/api/v1/firmware:schedule"),
    manages("/api/v1/system:factory-reset"),
    manages("/api/v1/firmware:cancel"),
    manages("/api/v1/firmware:mark-good"),
    manages("/api/v1/firmware:fallback"),
    reads("/api/v1/openapi.json", Role::Viewer),
    reads("/api/v1/schema.json", Role::Viewer),
    reads("/api/v1/generations", Role::Viewer),
    reads("/api/v1/generations/{which}", Role::Viewer),
    reads("/api/v1/secrets", Role::Operator),
    reads("/api/v1/secrets/{name}", Role::Operator),
    writes("PUT", "/api/v1/secrets/{name}"),
    writes("DELETE", "/api/v1/secrets/{name}"),
    writes("POST", "/api/v1/secrets/{name}"),
    rule_of("GET", "/api/v1/claim", Needs::Root, Log::Gate),
    rule_of("POST", "/api/v1/claim", Needs::Nothing, Log::Store),
    reads("/api/v1/session", Role::Viewer),
    rule_of("POST", "/api/v1/session", Needs::Nothing, Log::Store),
    rule_of("DELETE", "/api/v1/session", Needs::Role(Role::Viewer), Log::Gate),
    rule_of("GET", "/api/v1/tokens", Needs::User(Role::Viewer), Log::Nothing),
    rule_of("POST", "/api/v1/tokens", Needs::User(Role::Viewer), Log::Store),
    rule_of(
        "DELETE",
        "/api/v1/tokens/{name}",
        Needs::User(Role::Viewer),
        Log::Store,
    ),
    reads("/api/v1/users", Role::Admin),
    rule_of(
        "PUT",
        "/api/v1/users/{name}/password",
        Needs::User(Role::Viewer),
        Log::Store,
    ),
    rule_of("GET", "/api/v1/certificate", Needs::Nothing, Log::Nothing),
    rule_of("PUT", "/api/v1/certificate", Needs::User(Role::Admin), Log::Gate),
    rule_of(
        "DELETE",
        "/api/v1/certificate",
        Needs::User(Role::Admin),
        Log::Gate,
    ),
];

/// What holds for a verb of a path, as the router has it; `None` for what has no rule.
pub(crate) fn rule(method: &str, path: &str) -> Option<Rule> {
    // The router answers HEAD where there is GET.
    let method = if method == "HEAD" { "GET" } else { method };
    let found = RULES
        .iter()
        .find(|rule| rule.path == path && rule.method == method);
    found.copied()
}

/// Whether a path has a rule for any verb.
pub(crate) fn knows(path: &str) -> bool {
    RULES.iter().any(|rule| rule.path == path)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The router's paths, as they stand in its source.
    #[test]
    fn every_route_has_a_rule_and_every_rule_a_route() {
        let source = include_str!("../http/router.rs");
        let quoted = source.split('"').skip(1).step_by(2);
        let routes: std::collections::BTreeSet<&str> = quoted.filter(|text| text.starts_with('/')).collect();
        let ruled: std::collections::BTreeSet<&str> = RULES.iter().map(|rule| rule.path).collect();
        assert!(routes.len() > 10);
        assert_eq!(routes, ruled);
    }

    #[test]
    fn what_has_no_rule_is_told_apart() {
        assert!(rule("HEAD", "/api/v1/status").is_some());
        assert!(rule("DELETE", "/api/v1/config").is_none() && rule("GET", "/api/v1/nonsense").is_none());
    }
}
