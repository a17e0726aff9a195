//! What is answered to a request.

use std::fs;

use base64ct::{Base64, Base64UrlUnpadded, Encoding};
use serde_json::{Value, json};

use super::connection::Request;
use super::sign;
use super::{Part, Secret, State, Version};

/// An answer.
pub(super) struct Answer {
    status: u16,
    headers: Vec<String>,
    body: String,
}

impl Answer {
    pub(super) fn text(body: String) -> Self {
        Self {
            status: 200,
            headers: Vec::new(),
            body,
        }
    }

    pub(super) fn failed(status: u16, retry_after: Option<u32>) -> Self {
        let headers = retry_after.map(|seconds| format!("Retry-After: {seconds}"));
        Self {
            status,
            headers: headers.into_iter().collect(),
            body: json!({ "error": { "code": "Failing", "message": "as a test asked for" } }).to_string(),
        }
    }

    fn refused(status: u16, code: &str, inner: &str) -> Self {
        let error = json!({ "code": code, "message": "no", "innererror": { "code": inner } });
        Self {
            status,
            headers: Vec::new(),
            body: json!({ "error": error }).to_string(),
        }
    }

    fn challenged(challenge: String) -> Self {
        Self {
            headers: vec![format!("WWW-Authenticate: {challenge}")],
            ..Self::refused(401, "Unauthorized", "")
        }
    }

    pub(super) fn octets(&self) -> Vec<u8> {
        let mut head = format!("HTTP/1.1 {} -\r\n", self.status);
        for header in &self.headers {
            head.push_str(&format!("{header}\r\n"));
        }
        head.push_str(&format!(
            "Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{}",
            self.body.len(),
            self.body
        ));
        head.into_bytes()
    }
}

pub(super) fn answer(request: &Request, part: Part, state: &mut State, is_damaged: bool) -> Answer {
    match part {
        Part::Metadata => token(request, state),
        Part::Vault => vault(request, state, is_damaged),
    }
}

/// The metadata service (`GET /metadata/identity/oauth2/token`), and Azure Arc's agent.
fn token(request: &Request, state: &mut State) -> Answer {
    let refused = |status: u16, word: &str| Answer {
        status,
        headers: Vec::new(),
        body: json!({ "error": word, "error_description": "no" }).to_string(),
    };
    if request.method != "GET" || request.path != "/metadata/identity/oauth2/token" {
        return refused(404, "not_found");
    }
    if request.header("metadata") != Some("true") {
        return refused(400, "bad_request_102");
    }
    let (Some(resource), Some(_)) = (parameter(request, "resource"), parameter(request, "api-version"))
    else {
        return refused(400, "invalid_request");
    };
    if let Some((name, id)) = &state.identity
        && parameter(request, name).as_ref() != Some(id)
    {
        return refused(400, "invalid_request");
    }
    if let Some(challenge) = challenge(request, state) {
        return challenge;
    }
    let token = format!("{resource}|{}", state.token);
    Answer::text(
        json!({
            "access_token": Base64UrlUnpadded::encode_string(token.as_bytes()),
            "refresh_token": "",
            "expires_in": state.life.to_string(),
            "resource": resource,
            "token_type": "Bearer",
        })
        .to_string(),
    )
}

/// What Azure Arc's agent asks for first: to be shown what is in a file that it has just written.
fn challenge(request: &Request, state: &mut State) -> Option<Answer> {
    let agent = state.arc.as_mut()?;
    let shown = agent.shown.take().map(|shown| format!("Basic {shown}"));
    if shown.is_some() && shown.as_deref() == request.header("authorization") {
        return None;
    }
    agent.asked += 1;
    let file = agent.folder.join(format!("{}.key", agent.asked));
    let secret = format!("shown{}", agent.asked);
    if fs::write(&file, &secret).is_err() {
        return Some(Answer::refused(500, "Folder", ""));
    }
    agent.shown = Some(secret);
    Some(Answer::challenged(format!("Basic realm={}", file.display())))
}

fn vault(request: &Request, state: &State, is_damaged: bool) -> Answer {
    let expected = format!("{}|{}", state.audience, state.token);
    let expected = format!("Bearer {}", Base64UrlUnpadded::encode_string(expected.as_bytes()));
    if request.header("authorization") != Some(expected.as_str()) {
        let audience = &state.audience;
        return Answer::challenged(format!(
            "Bearer authorization=\"https://login.microsoftonline.com/0\", resource=\"{audience}\""
        ));
    }
    if parameter(request, "api-version").as_deref() != Some("7.4") {
        return Answer::refused(400, "BadParameter", "");
    }
    let mut words = request.path.trim_start_matches('/').split('/');
    let (kind, name, version, what) = (
        words.next(),
        words.next().unwrap_or_default(),
        words.next(),
        words.next(),
    );
    let versions = state
        .certificates
        .get(name)
        .map(Vec::as_slice)
        .unwrap_or_default();
    let found = match version {
        Some(wanted) => versions.iter().find(|(id, _)| id == wanted),
        None => versions.last(),
    };
    let Some((id, version)) = found else {
        return Answer::refused(404, "CertificateNotFound", "");
    };
    let at = |kind: &str| format!("https://{}/{kind}/{name}/{id}", state.authority);
    match (request.method.as_str(), kind, what) {
        ("GET", Some("certificates"), None) => certificate(version, at),
        ("GET", Some("secrets"), None) => secret(version, at),
        ("POST", Some("keys"), Some("sign")) if !state.may_sign => {
            Answer::refused(403, "Forbidden", "ForbiddenByRbac")
        }
        ("POST", Some("keys"), Some("sign")) => signature(request, version, at("keys"), is_damaged),
        _ => Answer::refused(404, "NotFound", ""),
    }
}

fn certificate(version: &Version, at: impl Fn(&str) -> String) -> Answer {
    Answer::text(
        json!({
            "id": at("certificates"),
            "kid": at("keys"),
            "sid": at("secrets"),
            "cer": Base64::encode_string(&version.certificate),
            "attributes": { "enabled": version.enabled },
            "policy": { "key_props": { "exportable": version.exportable } },
        })
        .to_string(),
    )
}

fn secret(version: &Version, at: impl Fn(&str) -> String) -> Answer {
    let (value, kind) = match &version.secret {
        Secret::Pem(text) => (text.clone(), "application/x-pem-file"),
        Secret::Pfx(octets) => (Base64::encode_string(octets), "application/x-pkcs12"),
        Secret::Forbidden => return Answer::refused(403, "Forbidden", "ForbiddenByRbac"),
    };
    let secret = json!({ "value": value, "contentType": kind, "id": at("secrets"), "managed": true });
    Answer::text(secret.to_string())
}

fn signature(request: &Request, version: &Version, key: String, is_damaged: bool) -> Answer {
    if !version.enabled {
        return Answer::refused(403, "Forbidden", "KeyDisabled");
    }
    let asked: Value = serde_json::from_slice(&request.body).unwrap_or_default();
    let text = |name: &str| asked.get(name).and_then(Value::as_str).unwrap_or_default();
    let digest = Base64UrlUnpadded::decode_vec(text("value")).unwrap_or_default();
    let Some(mut signature) = sign::sign(&version.key, text("alg"), &digest) else {
        return Answer::refused(400, "BadParameter", "");
    };
    if let Some(last) = signature.last_mut().filter(|_| is_damaged) {
        *last ^= 1;
    }
    let value = Base64UrlUnpadded::encode_string(&signature);
    Answer::text(json!({ "kid": key, "value": value }).to_string())
}

/// A parameter of the query, decoded.
fn parameter(request: &Request, name: &str) -> Option<String> {
    let found = request
        .query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .find(|(known, _)| *known == name);
    let mut octets = Vec::new();
    let mut rest = found?.1.bytes();
    while let Some(octet) = rest.next() {
        octets.push(match octet {
            b'%' => {
                let digits = [rest.next()?, rest.next()?];
                u8::from_str_radix(str::from_utf8(&digits).ok()?, 16).ok()?
            }
            octet => octet,
        });
    }
    String::from_utf8(octets).ok()
}
