//! An administrator at a host behind a gateway, with curl.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use system_tests::lab::run::Run;
use system_tests::lab::sites::Site;
use system_tests::peer::causeway::Causeway;

const USER: &str = "alice";
const PASSWORD: &str = "lab only, and long enough";

/// Whoever has claimed a gateway from the host behind it.
pub(crate) struct Admin<'s> {
    site: &'s Site,
    /// Of the session.
    cookies: PathBuf,
    csrf_token: String,
    /// For programs.
    token: String,
}

/// What proves who asks.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Proof {
    Nothing,
    /// In the body; what is answered with is the session.
    Password,
    Session,
    Token,
}

impl<'s> Admin<'s> {
    /// Claims the gateway with the code of its console, signs in, and makes a token.
    pub(crate) fn claims(run: &Run, site: &'s Site, gateway: &Causeway) -> Result<Self> {
        let mut admin = Self {
            site,
            cookies: run.folder().join("cookies"),
            csrf_token: String::new(),
            token: String::new(),
        };
        let code = gateway.causeway(&["claim-code"])?;
        let claim = json!({ "code": code.trim(), "user": USER, "password": PASSWORD });
        admin.asks(Proof::Nothing, &["POST", "/claim"], Some(&claim))?;
        let session = json!({ "user": USER, "password": PASSWORD });
        let session = admin.asks(Proof::Password, &["POST", "/session"], Some(&session))?;
        admin.csrf_token = text(&session, "csrf_token")?;
        let token = json!({ "name": "lab", "role": "admin", "expires_in_s": 3600 });
        let token = admin.asks(Proof::Session, &["POST", "/tokens"], Some(&token))?;
        admin.token = text(&token, "token")?;
        Ok(admin)
    }

    /// Sends a request (verb, path below `/api/v1`) and returns the JSON that comes back.
    pub(crate) fn asks(&self, proof: Proof, [verb, path]: &[&str; 2], body: Option<&Value>) -> Result<Value> {
        let mut curl = Command::new("curl");
        curl.args(["-sk", "--fail-with-body", "--max-time", "3", "-X", verb]);
        curl.args(["-H", "If-Match: *"]);
        match proof {
            Proof::Nothing => (),
            Proof::Password => {
                curl.arg("-c").arg(&self.cookies);
            }
            Proof::Session => {
                curl.arg("-b").arg(&self.cookies);
                curl.args(["-H", &format!("X-CSRF-Token: {}", self.csrf_token)]);
            }
            Proof::Token => {
                curl.args(["-H", &format!("Authorization: Bearer {}", self.token)]);
            }
        }
        if let Some(body) = body {
            curl.args(["-H", "Content-Type: application/json", "-d", &body.to_string()]);
        }
        let gateway = "10.1.0.1:8443";
        curl.arg(format!("https://{gateway}/api/v1{path}"));
        let output = self.site.host.output(&mut curl)?;
        let said = String::from_utf8(output.stdout)?;
        ensure!(
            output.status.success(),
            "{verb} {path} by {proof:?}: curl {}: {said}",
            output.status
        );
        serde_json::from_str(&said).with_context(|| format!("not JSON: {said}"))
    }
}

fn text(answer: &Value, name: &str) -> Result<String> {
    let text = answer.get(name).and_then(Value::as_str);
    Ok(text
        .with_context(|| format!("no {name} in the answer"))?
        .to_owned())
}
