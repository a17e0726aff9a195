use schemars::generate::{SchemaGenerator, SchemaSettings};
use schemars::{JsonSchema, Schema};
use serde_json::{Map, Value, json};

use crate::control::Report;
use crate::http::audit::Lines;
use crate::http::capture::Capturable;
use crate::http::comparison::Drafted;
use crate::http::config::{Confirmed, Rollback};
use crate::http::diagnostics::Diagnostics;
use crate::http::error::Told;
use crate::http::events::Events;
use crate::http::exchange::{Export, Import, Passphrase};
use crate::http::firmware::FactoryReset;
use crate::http::generation::{Between, Generations, WholeGeneration};
use crate::http::ike_log::IkeLines;
use crate::http::nat::Questioned;
use crate::http::recording::{Recordable, RecordingStatus};
use crate::http::secret;
use crate::http::verification::{Verdict, Verifiable};
use crate::status::{
    CertificateStatus, ComparisonStatus, ConnectionStatus, ExplanationStatus, FirmwareStatus,
    InterfaceStatus, KeyStatus, KeyTrialStatus, ListStatus, NatExplanation, NatStatus, PeerStatus,
    ProviderTrialStatus, RefreshStatus, RoutesStatus, Status, SystemStatus, TimelineStatus, TrialStatus,
    TrustEntryStatus,
};

/// Where the schemas are, and a reference to each.
const HERE: &str = "/components/schemas";

/// By name, the schemas of all that goes in and comes out.
pub(super) fn schemas() -> Map<String, Value> {
    let settings = SchemaSettings::draft2020_12().with(|settings| settings.definitions_path = HERE.into());
    let mut told = settings.clone().for_serialize().into_generator();
    add::<Report>(&mut told);
    add::<Lines>(&mut told);
    add::<Confirmed>(&mut told);
    add::<Told>(&mut told);
    add::<Events>(&mut told);
    add::<IkeLines>(&mut told);
    add::<Capturable>(&mut told);
    add::<Diagnostics>(&mut told);
    add::<Export>(&mut told);
    add::<Between>(&mut told);
    add::<Generations>(&mut told);
    add::<WholeGeneration>(&mut told);
    add::<secret::Told>(&mut told);
    add::<secret::WasSet>(&mut told);
    add::<ConnectionStatus>(&mut told);
    add::<InterfaceStatus>(&mut told);
    add::<KeyStatus>(&mut told);
    add::<CertificateStatus>(&mut told);
    add::<TrustEntryStatus>(&mut told);
    add::<TimelineStatus>(&mut told);
    add::<Verdict>(&mut told);
    add::<KeyTrialStatus>(&mut told);
    add::<ProviderTrialStatus>(&mut told);
    add::<RefreshStatus>(&mut told);
    add::<ListStatus>(&mut told);
    add::<Status>(&mut told);
    add::<NatStatus>(&mut told);
    add::<NatExplanation>(&mut told);
    add::<PeerStatus>(&mut told);
    add::<RoutesStatus>(&mut told);
    add::<ExplanationStatus>(&mut told);
    add::<ComparisonStatus>(&mut told);
    add::<SystemStatus>(&mut told);
    add::<FirmwareStatus>(&mut told);
    add::<RecordingStatus>(&mut told);
    add::<TrialStatus>(&mut told);
    let mut asked = settings.for_deserialize().into_generator();
    add::<Rollback>(&mut asked);
    add::<Passphrase>(&mut asked);
    add::<FactoryReset>(&mut asked);
    add::<Import>(&mut asked);
    add::<Recordable>(&mut asked);
    add::<Questioned>(&mut asked);
    add::<Drafted>(&mut asked);
    add::<Verifiable>(&mut asked);
    add::<secret::Protected>(&mut asked);
    let mut schemas = told.take_definitions(true);
    for (name, schema) in asked.take_definitions(true) {
        schemas.entry(name).or_insert(schema);
    }
    schemas.extend(document());
    schemas.insert("Part".to_owned(), json!({ "type": "object" }));
    schemas.insert("MergePatch".to_owned(), json!({ "type": "object" }));
    schemas
}

fn add<T: JsonSchema>(generator: &mut SchemaGenerator) {
    let _reference: Schema = generator.subschema_for::<T>();
}

/// That of the document, which is published by itself, too: its definitions go where all are.
fn document() -> Map<String, Value> {
    let mut document = appliance_config::schema().to_value();
    move_references(&mut document);
    let mut schemas = Map::new();
    if let Value::Object(members) = &mut document {
        members.remove("$schema");
        if let Some(Value::Object(definitions)) = members.remove("$defs") {
            let renamed = definitions
                .into_iter()
                .map(|(name, schema)| (renamed(&name), schema));
            schemas.extend(renamed);
        }
    }
    schemas.insert("Document".to_owned(), document);
    schemas
}

/// What the document has is named for it, so that it is mistaken for nothing else.
fn renamed(name: &str) -> String {
    format!("Document{name}")
}

fn move_references(schema: &mut Value) {
    match schema {
        Value::Object(members) => {
            let name = members
                .get("$ref")
                .and_then(|reference| reference.as_str()?.strip_prefix("#/$defs/"));
            if let Some(name) = name {
                let moved = format!("#{HERE}/{}", renamed(name));
                members.insert("$ref".to_owned(), moved.into());
            }
            members.values_mut().for_each(move_references);
        }
        Value::Array(items) => items.iter_mut().for_each(move_references),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => (),
    }
}
