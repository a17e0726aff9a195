use super::operation::{Answer, Body, Condition, Operation};

const COMMIT: &[&str] = &["confirm_within_s", "comment"];

const fn get(path: &'static str, summary: &'static str) -> Operation {
    Operation::new("get", path, summary)
}

const fn post(path: &'static str, summary: &'static str) -> Operation {
    Operation::new("post", path, summary)
}

/// A change of the document.
const fn change(verb: &'static str, path: &'static str, summary: &'static str, body: Body) -> Operation {
    Operation::new(verb, path, summary)
        .asks(COMMIT)
        .under(Condition::Needed)
        .takes(body)
        .tells(Answer::Json("Report"))
        .tagged()
}

/// Something done to a connection by hand.
const fn action(path: &'static str, summary: &'static str) -> Operation {
    post(path, summary).begins()
}

/// All that the API can be asked for.
pub(super) const OPERATIONS: &[Operation] = &[
    get("/config", "The document as it was written")
        .asks(&["defaults"])
        .tells(Answer::Any)
        .tagged(),
    change("put", "/config", "Replace the document", Body::Json("Document")),
    change(
        "patch",
        "/config",
        "Change parts of the document",
        Body::MergePatch,
    ),
    get("/config/{collection}", "A part of the document")
        .asks(&["defaults"])
        .tells(Answer::Any)
        .tagged(),
    change(
        "put",
        "/config/{collection}",
        "Replace a part",
        Body::Json("Part"),
    ),
    change("patch", "/config/{collection}", "Change a part", Body::MergePatch),
    change("delete", "/config/{collection}", "Remove a part", Body::Nothing),
    get("/config/{collection}/{name}", "An item of a collection")
        .asks(&["defaults"])
        .tells(Answer::Any)
        .tagged(),
    change(
        "put",
        "/config/{collection}/{name}",
        "Replace or add an item",
        Body::Json("Part"),
    ),
    change(
        "patch",
        "/config/{collection}/{name}",
        "Change an item",
        Body::MergePatch,
    ),
    change(
        "delete",
        "/config/{collection}/{name}",
        "Remove an item",
        Body::Nothing,
    ),
    post("/config:check", "What a document, or a patch of it, would do")
        .takes(Body::DocumentOrPatch)
        .tells(Answer::Json("Report"))
        .tagged(),
    post("/config:confirm", "Keep what is on trial")
        .under(Condition::Optional)
        .tells(Answer::Json("Confirmed"))
        .tagged(),
    post("/config:rollback", "Return to a generation")
        .asks(COMMIT)
        .under(Condition::Optional)
        .takes(Body::Json("Rollback"))
        .tells(Answer::Json("Report"))
        .tagged(),
    get("/schema.json", "JSON Schema of the document").tells(Answer::Any),
    get("/openapi.json", "This description").tells(Answer::Any),
    get(
        "/export",
        "What another machine needs to do the same, but secrets",
    )
    .tells(Answer::Json("Export")),
    post("/export", "The same with all secrets, sealed under a passphrase")
        .takes(Body::Json("Passphrase"))
        .tells(Answer::Json("Export")),
    post(
        "/import",
        "Do as another machine did: document and secrets, or nothing",
    )
    .asks(COMMIT)
    .under(Condition::Needed)
    .takes(Body::Json("Import"))
    .tells(Answer::Json("Report"))
    .tagged(),
    get("/generations", "The documents that are kept, newest first").tells(Answer::Json("Generations")),
    get("/generations/{number}", "One of them").tells(Answer::Json("WholeGeneration")),
    get("/generations/{from}..{to}", "In what two of them differ").tells(Answer::Json("Between")),
    get("/secrets", "What is told of all secrets").tells(Answer::ByName("Secret")),
    get("/secrets/{name}", "What is told of a secret; never its value").tells(Answer::Json("Secret")),
    Operation::new(
        "put",
        "/secrets/{name}",
        "Set a secret; those who use it take it at once",
    )
    .under(Condition::Optional)
    .takes(Body::OctetsOrJson("Protected"))
    .tells(Answer::Json("SecretThatWasSet")),
    Operation::new("delete", "/secrets/{name}", "Remove a secret that nothing uses")
        .under(Condition::Optional),
    post(
        "/secrets/{name}:generate",
        "Set a secret to one that is told this once",
    )
    .under(Condition::Optional)
    .tells(Answer::Json("SecretThatWasSet")),
    get("/status", "Everything configured, up or not").tells(Answer::Json("Status")),
    get("/status/system", "What concerns all connections").tells(Answer::Json("SystemStatus")),
    get("/status/interfaces", "Interfaces by name").tells(Answer::ByName("InterfaceStatus")),
    get("/status/interfaces/{name}", "One interface").tells(Answer::Json("InterfaceStatus")),
    get("/status/keys", "Private keys by certificate").tells(Answer::ByName("KeyStatus")),
    get("/status/keys/{name}", "One private key").tells(Answer::Json("KeyStatus")),
    get(
        "/certificates",
        "Certificates of ours: what they say, where the key is, who uses them",
    )
    .tells(Answer::ByName("CertificateStatus")),
    get("/certificates/{name}", "One certificate of ours").tells(Answer::Json("CertificateStatus")),
    post(
        "/certificates:verify",
        "Whether a certificate would be believed, and which one is to blame by which rule if not",
    )
    .takes(Body::Json("Verifiable"))
    .tells(Answer::Json("Verdict")),
    get(
        "/certificates:timeline",
        "All certificates, those of authorities too, by when they end",
    )
    .tells(Answer::Json("TimelineStatus")),
    get("/trust", "What certificates of others may lead to").tells(Answer::ByName("TrustEntryStatus")),
    get("/trust/{name}", "One of them").tells(Answer::Json("TrustEntryStatus")),
    post(
        "/certificates/{name}:test-sign",
        "Have the key of a certificate sign in every way that it may be asked for, and check the signatures",
    )
    .tells(Answer::Json("KeyTrialStatus")),
    post(
        "/certificates/{name}:refresh",
        "Look for a newer version of the key of a certificate now",
    )
    .tells(Answer::Json("RefreshStatus")),
    post(
        "/key-providers/{name}:self-test",
        "Try who has private keys, without any key where that is possible",
    )
    .tells(Answer::Json("ProviderTrialStatus")),
    get(
        "/status/revocation-lists",
        "Lists of revoked certificates by their addresses",
    )
    .tells(Answer::ByName("ListStatus")),
    post(
        "/revocation-lists:refresh",
        "Fetch all lists of revoked certificates anew",
    )
    .tells(Answer::ByName("ListStatus")),
    get("/status/connections", "Connections by name")
        .asks(&["state", "limit", "after_name"])
        .tells(Answer::ByName("ConnectionStatus")),
    get(
        "/status/connections/{name}",
        "One connection and what happened to it",
    )
    .tells(Answer::Json("ConnectionStatus")),
    get(
        "/status/connections/{name}/log",
        "What IKE did for a connection lately, message by message, or what it does",
    )
    .asks(&["after"])
    .tells(Answer::Events("IkeLines")),
    get("/status/nat", "Rules of NAT on each connection, by name of both")
        .asks(&["connection", "rule", "limit", "after_rule"])
        .tells(Answer::Json("NatStatus")),
    post(
        "/explain/nat",
        "What would become of a packet, and which rules of NAT decide",
    )
    .takes(Body::Json("Questioned"))
    .tells(Answer::Json("NatExplanation")),
    post(
        "/explain/routes",
        "What the policies of a document that does not run would make of the routes of a neighbour",
    )
    .takes(Body::Json("Drafted"))
    .tells(Answer::Json("ComparisonStatus")),
    get(
        "/status/bgp/peers",
        "BGP sessions by the name of their connection",
    )
    .tells(Answer::ByName("PeerStatus")),
    get("/status/bgp/peers/{name}", "One BGP session").tells(Answer::Json("PeerStatus")),
    get("/status/bgp/routes", "Routes of BGP, by prefix")
        .asks(&[
            "kind",
            "family",
            "neighbour",
            "prefix",
            "relation",
            "limit",
            "after_prefix",
        ])
        .tells(Answer::Json("RoutesStatus")),
    get(
        "/status/bgp/explain",
        "What decided whether the routes to a prefix are let in, or sent",
    )
    .asks(&["neighbour_needed", "direction_needed", "prefix_needed"])
    .tells(Answer::Json("ExplanationStatus")),
    action(
        "/bgp/peers/{name}:clear",
        "End a BGP session and begin anew, whatever kept it down",
    ),
    action(
        "/bgp/peers/{name}:refresh",
        "Have both sides of a BGP session send their routes again",
    ),
    get(
        "/bgp/table.mrt",
        "All routes of BGP as a file (MRT, TABLE_DUMP_V2)",
    )
    .asks(&["kind_table"])
    .tells(Answer::File),
    post(
        "/bgp/table:try",
        "What a neighbour's import rules would make of the routes in a file (MRT)",
    )
    .asks(&["neighbour_needed"])
    .takes(Body::Octets)
    .tells(Answer::Json("TrialStatus")),
    get("/bgp/recording", "How the recording of BGP messages stands").tells(Answer::Json("RecordingStatus")),
    get(
        "/bgp/recording.mrt",
        "The BGP messages that are written down (MRT, BGP4MP_ET)",
    )
    .tells(Answer::File),
    post(
        "/bgp/recording:start",
        "Write BGP messages down, in memory and bounded",
    )
    .takes(Body::Json("Recordable"))
    .tells(Answer::Json("RecordingStatus")),
    post(
        "/bgp/recording:stop",
        "End the recording of BGP messages; what is written down stays",
    )
    .tells(Answer::Json("RecordingStatus")),
    action("/connections/{name}:connect", "Start a connection now"),
    action(
        "/connections/{name}:disconnect",
        "Take a connection down until it is wanted again",
    ),
    action(
        "/connections/{name}:reset",
        "Close a connection and negotiate it anew",
    ),
    action(
        "/connections/{name}:rekey",
        "Replace the Child SAs of a connection",
    ),
    action(
        "/connections/{name}:rekey-ike",
        "Replace the IKE SA of a connection",
    ),
    action(
        "/connections/{name}:reauthenticate",
        "Have both sides prove anew who they are, without a pause",
    ),
    action(
        "/connections/{name}:try-ikev2",
        "Find out whether the peer of a connection of IKEv1 answers IKEv2; its status tells",
    ),
    post(
        "/connections/{name}/capture",
        "Take the packets of a connection for a while, as a file (pcapng)",
    )
    .takes(Body::Json("Capturable"))
    .tells(Answer::File),
    get("/events", "What happened lately, or what happens")
        .asks(&["connection", "since", "after", "limit"])
        .tells(Answer::Events("Events")),
    get("/audit", "Who did or tried what, newest first")
        .asks(&["who", "result", "before", "limit"])
        .tells(Answer::Json("AuditLog")),
    get(
        "/diagnostics",
        "How everything stands, what happened, what was logged last, and the document; no secrets",
    )
    .tells(Answer::Json("Diagnostics")),
    get(
        "/firmware",
        "The slots of the machine, and what becomes of an update",
    )
    .tells(Answer::Json("FirmwareStatus")),
    post(
        "/firmware:upload",
        "Write an update bundle to the idle slot, as it comes, and check it there",
    )
    .asks(&["allow_downgrade"])
    .takes(Body::Octets)
    .tells(Answer::Json("FirmwareStatus")),
    action(
        "/firmware:install",
        "Start the machine again, with the system of the other slot on trial",
    )
    .asks(&["allow_downgrade"]),
    action(
        "/system:factory-reset",
        "Start the machine again as new: all that it keeps is wiped, both systems stay",
    )
    .takes(Body::Json("FactoryReset")),
    post(
        "/firmware:schedule",
        "Install what is in the other slot in the next maintenance window",
    )
    .asks(&["allow_downgrade"])
    .tells(Answer::Json("FirmwareStatus")),
    post(
        "/firmware:cancel",
        "Install nothing in the next maintenance window",
    )
    .tells(Answer::Json("FirmwareStatus")),
    post("/firmware:mark-good", "Keep the system that is on trial").tells(Answer::Json("FirmwareStatus")),
    action(
        "/firmware:fallback",
        "Start the machine again, with the system before",
    ),
    get("/metrics", "For Prometheus").tells(Answer::Metrics),
    get("/claim", "The code with which the first admin claims the machine").tells(Answer::Any),
    post("/claim", "Become the first admin, with the code of the console")
        .takes(Body::Json("Part"))
        .makes(Answer::Any),
    get("/session", "Who one is").tells(Answer::Any),
    post("/session", "Sign in")
        .takes(Body::Json("Part"))
        .tells(Answer::Any),
    Operation::new("delete", "/session", "Sign out"),
    get("/tokens", "One's own tokens, of an admin all").tells(Answer::Any),
    post("/tokens", "Make a token that is told this once")
        .takes(Body::Json("Part"))
        .makes(Answer::Any),
    Operation::new("delete", "/tokens/{name}", "Take a token back"),
    get("/users", "Who there is, and since when with a password").tells(Answer::Any),
    Operation::new("put", "/users/{name}/password", "Set a password").takes(Body::Json("Part")),
    get("/certificate", "The certificate of the API").tells(Answer::Any),
    Operation::new("put", "/certificate", "Install a certificate with its key, PEM")
        .takes(Body::Octets)
        .tells(Answer::Any),
    Operation::new("delete", "/certificate", "Have the machine make a certificate").tells(Answer::Any),
];
