use std::sync::LazyLock;

use axum::Json;
use serde_json::{Map, Value, json};

use super::operation::{Answer, Body, Condition, Operation};
use super::parameters::{if_match, of_path, of_query};
use super::schemas::schemas;
use super::table::OPERATIONS;

static DOCUMENT: LazyLock<Value> = LazyLock::new(document);

const JSON: &str = "application/json";
const MERGE_PATCH: &str = "application/merge-patch+json";

/// `GET /api/v1/openapi.json`: what the API says of itself.
pub(crate) async fn openapi() -> Json<&'static Value> {
    Json(&DOCUMENT)
}

fn document() -> Value {
    let mut paths = Map::new();
    for operation in OPERATIONS {
        let path = paths
            .entry(operation.path)
            .or_insert_with(|| json!({ "parameters": path_parameters(operation.path) }));
        if let Value::Object(verbs) = path {
            verbs.insert(operation.verb.to_owned(), told(operation));
        }
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Causeway",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "One declarative document, an impact before every change, and a way back. Every refusal is a problem (RFC 9457) with a stable reason word.",
            "license": { "name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0" },
        },
        "servers": [{ "url": "/api/v1" }],
        "paths": paths,
        "components": {
            "schemas": schemas(),
            "responses": {
                "Problem": {
                    "description": "Why it was refused, and where",
                    "content": { "application/problem+json": { "schema": reference("Problem") } },
                },
            },
        },
    })
}

fn reference(schema: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{schema}") })
}

/// What stands in braces.
fn path_parameters(path: &str) -> Vec<Value> {
    let parts = path.split('{').skip(1);
    let names = parts.filter_map(|part| Some(part.split_once('}')?.0));
    names.map(of_path).collect()
}

fn told(operation: &Operation) -> Value {
    let (status, answer) = operation.answer;
    let mut success = answered(answer);
    let etag = json!({ "ETag": { "description": "The generation", "schema": { "type": "string" } } });
    if let (true, Value::Object(success)) = (operation.tagged, &mut success) {
        success.insert("headers".to_owned(), etag);
    }
    let mut parameters: Vec<Value> = operation.query.iter().map(|name| of_query(name)).collect();
    match operation.condition {
        Condition::Unused => (),
        Condition::Optional => parameters.push(if_match(false)),
        Condition::Needed => parameters.push(if_match(true)),
    }
    if matches!(answer, Answer::Events(_)) {
        parameters.push(json!({
            "name": "Last-Event-ID", "in": "header", "schema": { "type": "string" },
            "description": "A stream goes on after the event with this number",
        }));
    }
    let mut told = json!({
        "summary": operation.summary,
        "operationId": operation_id(operation),
        "parameters": parameters,
        "responses": {
            status.to_string(): success,
            "default": { "$ref": "#/components/responses/Problem" },
        },
    });
    if let (Some(content), Value::Object(members)) = (sent(operation.body), &mut told) {
        members.insert(
            "requestBody".to_owned(),
            json!({ "required": true, "content": content }),
        );
    }
    told
}

fn operation_id(operation: &Operation) -> String {
    let path = operation.path.trim_start_matches('/').replace("..", "-to-");
    let words = path
        .split(['/', ':', '{', '}', '.'])
        .filter(|word| !word.is_empty());
    let words: Vec<&str> = std::iter::once(operation.verb).chain(words).collect();
    words.join("-")
}

fn answered(answer: Answer) -> Value {
    let json = |schema: Value| json!({ "description": "Done", "content": { JSON: { "schema": schema } } });
    match answer {
        Answer::Nothing => json!({ "description": "Done" }),
        Answer::Json(schema) => json(reference(schema)),
        Answer::ByName(schema) => {
            json(json!({ "type": "object", "additionalProperties": reference(schema) }))
        }
        Answer::Any => json(json!({ "type": "object" })),
        Answer::Events(schema) => json!({
            "description": "A list, or with Accept: text/event-stream a stream that does not end",
            "content": {
                JSON: { "schema": reference(schema) },
                "text/event-stream": { "schema": { "type": "string" } },
            },
        }),
        Answer::File => json!({
            "description": "MRT (RFC 6396)",
            "content": { "application/octet-stream": {} },
        }),
        Answer::Metrics => json!({
            "description": "OpenMetrics 1.0",
            "content": { "application/openmetrics-text": { "schema": { "type": "string" } } },
        }),
    }
}

fn sent(body: Body) -> Option<Value> {
    let of = |schema: &str| json!({ "schema": reference(schema) });
    Some(match body {
        Body::Nothing => return None,
        Body::Json(schema) => json!({ JSON: of(schema) }),
        Body::MergePatch => json!({ MERGE_PATCH: of("MergePatch") }),
        Body::DocumentOrPatch => json!({ JSON: of("Document"), MERGE_PATCH: of("MergePatch") }),
        Body::Octets => json!({ "application/octet-stream": {} }),
        Body::OctetsOrJson(schema) => json!({ "application/octet-stream": {}, JSON: of(schema) }),
    })
}
