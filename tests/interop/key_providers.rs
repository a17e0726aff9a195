//! Causeway proves itself to strongSwan by a certificate whose private key it never sees: in a PKCS#11 token, or in a key vault.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use system_tests::lab::namespace::Namespace;
use system_tests::lab::pki::{Issued, Key, Wanted};
use system_tests::lab::process::Process;
use system_tests::lab::run::Run;
use system_tests::lab::sites::Sites;
use system_tests::lab::traffic::Ping;
use system_tests::lab::wait;
use system_tests::peer::api::Api;
use system_tests::peer::causeway::{Causeway, Document, SOON, document};
use system_tests::peer::credentials::Credentials;
use system_tests::peer::key_vault::{Failure, KeyVault, Part, Secret, Version};
use system_tests::peer::strongswan::StrongSwan;
use system_tests::peer::suite::VERSION_1;
use system_tests::peer::tunnel::{Datapath, Tunnel};

const MODULE: &str = "/usr/lib/softhsm/libsofthsm2.so";
/// That of TPMs.
const TPM_MODULE: &str = "/usr/lib/x86_64-linux-gnu/pkcs11/libtpm2_pkcs11.so";
const PIN: &str = "4711";

/// Where Causeway and strongSwan are to be, with a certificate each; strongSwan runs.
struct Scene {
    far: StrongSwan,
    near: Issued,
    root: Issued,
    document: Document,
    sites: Sites,
    datapath: Datapath,
    run: Run,
}

impl Scene {
    fn new(key: Key) -> Self {
        Self::with(key, |tunnel| tunnel)
    }

    /// The same with both views of the tunnel altered like this.
    fn with(key: Key, change: impl Fn(Tunnel) -> Tunnel) -> Self {
        let run = Run::new().unwrap();
        let sites = Sites::new(&run).unwrap();
        let datapath = Datapath::of_this_run().unwrap();
        let root = Issued::root(&Wanted::authority("Lab root", 1)).unwrap();
        let leaf = |name| {
            root.issue(&Wanted {
                key,
                ..Wanted::leaf(name)
            })
            .unwrap()
        };
        let (near, far) = (leaf("gw-a"), leaf("gw-b"));
        let mut a = Tunnel::between(&sites.a, &sites.b);
        let mut b = Tunnel::between(&sites.b, &sites.a);
        (a.local_id, b.remote_id) = (near.subject(), near.subject());
        (a.remote_id, b.local_id) = (far.subject(), far.subject());
        a.credentials = Some(Box::new(Credentials::new(&near, &root)));
        b.credentials = Some(Box::new(Credentials::new(&far, &root)));
        let (a, b) = (change(a), change(b));
        let document = document(&[("peer", &a)]);
        let far = StrongSwan::start(&run, &sites.b.gateway, &b, datapath).unwrap();
        Self {
            far,
            near,
            root,
            document,
            sites,
            datapath,
            run,
        }
    }

    /// The same with our key elsewhere, and no key in a file.
    fn with_key(mut self, provider: Value, reference: &str, chain: &[&Issued]) -> Self {
        let json = &mut self.document.json;
        json["key_providers"] = json!({ "elsewhere": provider });
        let chain: Vec<String> = chain.iter().map(|issued| issued.pem()).collect();
        let key = json!({ "provider": "elsewhere", "reference": reference });
        json["certificates"]["peer"] = json!({ "key": key, "chain": chain });
        self.document
            .secrets
            .retain(|(name, _)| !name.starts_with("key-"));
        self
    }

    fn start(&self, prepare: impl FnOnce(&Path) -> Result<Vec<(&'static str, String)>>) -> Causeway {
        let gateway = &self.sites.a.gateway;
        Causeway::with_environment(&self.run, gateway, (&self.document, self.datapath), prepare).unwrap()
    }

    fn carries(&self, gateway: &Causeway) {
        gateway.wait_for("peer", "up").unwrap();
        let every = Duration::from_millis(20);
        let ping = Ping::start(&self.sites.a.host, self.sites.b.host_address, every).unwrap();
        ping.wait_for(5, SOON).unwrap();
        assert_eq!(ping.finish().lost, 0);
        assert!(self.far.log().contains("authentication of 'CN=gw-a' with "));
    }
}

fn key(gateway: &Causeway) -> Result<Value> {
    Api::connect(&gateway.socket())?.ask("GET", "/status/keys/peer", "")
}

/// Until the key is in this state for this reason.
fn wait_for_key(gateway: &Causeway, state: &str, reason: &str) {
    wait::until(reason, SOON, || {
        let key = key(gateway)?;
        let told = key["state"] == state && key["outage"]["reason"].as_str().unwrap_or_default() == reason;
        ensure!(told, "{key}");
        Ok(())
    })
    .unwrap();
}

/// What was tried of who has the key, each with the reason word if it failed.
fn provider_steps(api: &mut Api) -> Vec<String> {
    let told = api.ask("POST", "/key-providers/elsewhere:self-test", "").unwrap();
    let steps = told["steps"].as_array().unwrap().iter();
    let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    steps
        .map(|step| format!("{}: {}", word(&step["step"]), word(&step["outage"]["reason"])))
        .collect()
}

/// What came of each way to sign.
fn states(trial: &Value) -> Vec<String> {
    let schemes = trial["schemes"].as_array().unwrap().iter();
    schemes
        .map(|one| one["state"].as_str().unwrap().to_owned())
        .collect()
}

/// A version of a certificate whose key stays in its vault.
fn version(of: &Issued) -> Version {
    Version {
        certificate: of.der().to_vec(),
        key: of.key_der(),
        secret: Secret::Forbidden,
        exportable: false,
        enabled: true,
    }
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}");
}

/// A token with this key, in the folder of the state; what SoftHSM is to be told in the environment.
fn token(state: &Path, key: &Issued) -> Result<Vec<(&'static str, String)>> {
    let (tokens, settings, pem) = (
        state.join("tokens"),
        state.join("softhsm2.conf"),
        state.join("key.pem"),
    );
    fs::create_dir_all(&tokens)?;
    let lines = format!(
        "directories.tokendir = {}\nobjectstore.backend = file\n",
        tokens.display()
    );
    fs::write(&settings, lines)?;
    fs::write(&pem, key.key_pem())?;
    let tool = || {
        let mut command = Command::new("softhsm2-util");
        command.env("SOFTHSM2_CONF", &settings).args(["--pin", PIN]);
        command
    };
    run(tool().args(["--init-token", "--free", "--label", "branch", "--so-pin", "0815"]));
    run(tool()
        .args(["--token", "branch", "--label", "edge", "--id", "a1", "--import"])
        .arg(&pem));
    fs::remove_file(pem)?;
    Ok(vec![("SOFTHSM2_CONF", settings.to_string_lossy().into_owned())])
}

/// RSA by method 14 with the key in SoftHSM; a wrong PIN is tried once and told, and the right one helps at once. What is tried without
/// any tunnel says the same.
#[test]
fn a_token_signs() {
    for key in [Key::Rsa2048, Key::P256] {
        let scene = Scene::new(key);
        let near = scene.near.clone();
        let provider = json!({ "kind": "pkcs11", "module": MODULE, "pin": "pin" });
        let mut scene = scene.with_key(provider, "pkcs11:token=branch;object=edge", &[&near]);
        scene.document.secrets.push(("pin".to_owned(), "1234".to_owned()));
        let gateway = scene.start(|state| token(state, &near));
        wait_for_key(&gateway, "failed", "pin-wrong");
        let mut api = Api::connect(&gateway.socket()).unwrap();
        assert_eq!(provider_steps(&mut api), ["module: ", "pin: pin-wrong"]);
        api.ask("PUT", "/secrets/pin", PIN).unwrap();
        wait_for_key(&gateway, "ready", "");
        assert_eq!(provider_steps(&mut api), ["module: ", "token: ", "pin: "]);
        let trial = api.ask("POST", "/certificates/peer:test-sign", "").unwrap();
        assert_eq!(
            (&trial["ok"], &trial["place"]),
            (&json!(true), &json!("token")),
            "{trial}"
        );
        assert!(states(&trial).iter().all(|state| state == "works"), "{trial}");
        gateway.connect("peer").unwrap();
        scene.carries(&gateway);
        assert_eq!(self::key(&gateway).unwrap()["place"], "token");
        assert!(!gateway.log().contains(PIN), "the PIN is in the log");
    }
}

/// What IKEv1 signs is padded by the token alone; whoever begins.
#[test]
fn a_token_signs_for_ikev1() {
    for mode in ["InitiatorOnly", "ResponderOnly"] {
        let scene = Scene::with(Key::Rsa2048, |tunnel| Tunnel {
            mode,
            ..tunnel.version_1(VERSION_1)
        });
        let near = scene.near.clone();
        let provider = json!({ "kind": "pkcs11", "module": MODULE, "pin": "pin" });
        let mut scene = scene.with_key(provider, "pkcs11:token=branch;object=edge", &[&near]);
        scene.document.secrets.push(("pin".to_owned(), PIN.to_owned()));
        let gateway = scene.start(|state| token(state, &near));
        wait_for_key(&gateway, "ready", "");
        if mode == "ResponderOnly" {
            scene.far.initiate().unwrap();
        }
        scene.carries(&gateway);
        let key = key(&gateway).unwrap();
        assert_eq!(
            (&key["place"], &key["signed"]),
            (&json!("token"), &json!(1)),
            "{key}"
        );
    }
}

/// A token is pulled while packets pass: the tunnel stays, and why no new proof is given is told. Once it is back the next
/// authentication has it.
#[test]
fn a_pulled_token_takes_nothing_down() {
    let scene = Scene::new(Key::P256);
    let near = scene.near.clone();
    let provider = json!({ "kind": "pkcs11", "module": MODULE, "pin": "pin" });
    let mut scene = scene.with_key(provider, "pkcs11:token=branch;object=edge", &[&near]);
    scene.document.secrets.push(("pin".to_owned(), PIN.to_owned()));
    let gateway = scene.start(|state| token(state, &near));
    scene.carries(&gateway);
    let state = scene
        .run
        .folder()
        .join(scene.sites.a.gateway.name())
        .join("state");
    let (tokens, away) = (state.join("tokens"), state.join("away"));
    let every = Duration::from_millis(20);
    let ping = Ping::start(&scene.sites.a.host, scene.sites.b.host_address, every).unwrap();
    let lost_by_peer = || {
        let too_early = scene.sites.a.gateway.xfrm_statistic("XfrmInNoStates");
        scene.far.lost().unwrap() + too_early.unwrap()
    };
    let lost_before = lost_by_peer();
    fs::rename(&tokens, &away).unwrap();
    fs::create_dir(&tokens).unwrap();
    gateway.causeway(&["reauthenticate", "peer"]).unwrap();
    wait_for_key(&gateway, "ready", "token-missing");
    let told = gateway.connection("peer").unwrap();
    assert_eq!(
        (&told["state"], &told["reauthentication"]["outage"]["reason"]),
        (&json!("up"), &json!("token-missing")),
        "{told}"
    );
    gateway.rekey("peer", true).unwrap();
    gateway.rekey("peer", false).unwrap();
    ping.wait_for(25, SOON).unwrap();
    fs::remove_dir(&tokens).unwrap();
    fs::rename(&away, &tokens).unwrap();
    wait::until("new proofs", SOON, || {
        let told = gateway.connection("peer")?;
        ensure!(
            told["reauthentication"]["outage"].is_null() && told["outage"].is_null(),
            "{told}"
        );
        Ok(())
    })
    .unwrap();
    wait_for_key(&gateway, "ready", "");
    ping.wait_for(25, SOON).unwrap();
    // But for what strongSwan's own kernel had no state for, and what it sent before we could have the new child.
    let (lost, by_peer) = (ping.finish().lost, lost_by_peer() - lost_before);
    assert!(lost <= by_peer, "{lost} lost, {by_peer} by the peer");
    assert_eq!(key(&gateway).unwrap()["signed"], 2);
}

/// A TPM 2.0 in software, which the module of TPMs reaches inside a gateway; the key is made there and never leaves it.
struct Tpm {
    _process: Process,
    environment: Vec<(&'static str, String)>,
}

impl Tpm {
    /// With a token `tpm` that has a key on P-256 called `edge`, and the public half of that in DER.
    fn start(gateway: &Namespace, state: &Path) -> (Self, Vec<u8>) {
        let folder = state.join("tpm");
        fs::create_dir_all(&folder).unwrap();
        let mut swtpm = Command::new("swtpm");
        swtpm.args([
            "socket",
            "--tpm2",
            "--flags",
            "not-need-init,startup-clear",
            "--tpmstate",
        ]);
        swtpm.arg(format!("dir={}", folder.display()));
        for (what, port) in [("--server", 2321), ("--ctrl", 2322)] {
            swtpm.args([what, &format!("type=tcp,port={port},bindaddr=127.0.0.1")]);
        }
        let process = gateway.spawn("swtpm", &mut swtpm).unwrap();
        let tpm = Self {
            _process: process,
            environment: vec![
                ("TPM2_PKCS11_TCTI", "swtpm:host=127.0.0.1,port=2321".to_owned()),
                ("TPM2_PKCS11_STORE", folder.to_string_lossy().into_owned()),
                ("TPM2_PKCS11_LOG_LEVEL", "0".to_owned()),
            ],
        };
        let officer = ["--so-pin", "81581511"];
        let begin = [
            &["--init-token", "--slot-index", "0", "--label", "tpm"][..],
            &officer,
        ]
        .concat();
        wait::until("the TPM", SOON, || tpm.tool(gateway, &begin)).unwrap();
        let pin = [
            "--token-label",
            "tpm",
            "--login",
            "--login-type",
            "so",
            "--init-pin",
            "--pin",
            PIN,
        ];
        tpm.tool(gateway, &[&pin[..], &officer].concat()).unwrap();
        let login = ["--token-label", "tpm", "--login", "--pin", PIN];
        let make = [
            "--keypairgen",
            "--key-type",
            "EC:prime256v1",
            "--label",
            "edge",
            "--id",
            "01",
        ];
        tpm.tool(gateway, &[&login[..], &make].concat()).unwrap();
        let file = folder.join("public.der");
        let name = file.to_string_lossy();
        let read = ["--read-object", "--type", "pubkey", "--id", "01", "-o", &name];
        tpm.tool(gateway, &[&login[..], &read].concat()).unwrap();
        (tpm, fs::read(file).unwrap())
    }

    fn tool(&self, gateway: &Namespace, arguments: &[&str]) -> Result<()> {
        let mut tool = Command::new("pkcs11-tool");
        tool.args(["--module", TPM_MODULE]).args(arguments);
        tool.envs(self.environment.iter().map(|(name, value)| (name, value)));
        let output = gateway.output(&mut tool)?;
        ensure!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(())
    }
}

/// The key was made in a TPM, whose owner has issued a certificate for it; nobody has ever seen it.
#[test]
fn a_tpm_signs() {
    let scene = Scene::new(Key::P256);
    let gateway = scene.sites.a.gateway.clone();
    gateway.ip(&["link set lo up"]).unwrap();
    let state = scene.run.folder().join(gateway.name()).join("state");
    let (tpm, public_key) = Tpm::start(&gateway, &state);
    let certificate = scene.root.certify(&Wanted::leaf("gw-a"), &public_key).unwrap();
    let provider = json!({ "kind": "pkcs11", "module": TPM_MODULE, "pin": "pin" });
    let mut scene = scene.with_key(provider, "pkcs11:token=tpm;object=edge", &[]);
    scene.document.json["certificates"]["peer"]["chain"] = json!([certificate]);
    scene.document.secrets.push(("pin".to_owned(), PIN.to_owned()));
    let environment = tpm.environment.clone();
    let gateway = scene.start(|_| Ok(environment));
    scene.carries(&gateway);
    gateway.causeway(&["reauthenticate", "peer"]).unwrap();
    wait::until("two signatures", SOON, || {
        let key = key(&gateway)?;
        ensure!(
            (&key["place"], &key["signed"]) == (&json!("token"), &json!(2)),
            "{key}"
        );
        Ok(())
    })
    .unwrap();
}

/// The vault signs, reached by the managed identity of the machine. Its certificate stands in no document; while it refuses, why
/// is told, and the tunnel comes up by itself after that. A trial leaves the key where it is, and a look for a newer version finds it.
#[test]
fn a_vault_signs() {
    let scene = Scene::new(Key::Rsa2048);
    let gateway = &scene.sites.a.gateway;
    gateway
        .ip(&["link set lo up", "address add 169.254.169.254/32 dev lo"])
        .unwrap();
    let vault = {
        let _inside = gateway.enter().unwrap();
        let at = |text: &str| text.parse::<SocketAddr>().unwrap();
        KeyVault::start_at(at("127.0.0.1:8443"), at("169.254.169.254:80"), &["localhost"]).unwrap()
    };
    // The cloud of a vault is its name without the first part, and tokens are for that.
    vault.want_audience("https://");
    vault.put("edge", version(&scene.near));
    vault.fail(Part::Vault, Failure::Status(403, None), 1);
    let provider = json!({ "kind": "key-vault", "identity": { "managed": "system-assigned" } });
    let scene = scene.with_key(provider, "https://localhost:8443/certificates/edge", &[]);
    let roots = vault.root().pem();
    let gateway = scene.start(|state| {
        let file = state.join("roots.pem");
        fs::write(&file, roots)?;
        Ok(vec![("SSL_CERT_FILE", file.to_string_lossy().into_owned())])
    });
    wait_for_key(&gateway, "failed", "vault-refused");
    scene.carries(&gateway);
    assert_eq!(key(&gateway).unwrap()["place"], "vault");
    assert!(vault.asked("/sign") >= 1);
    let mut api = Api::connect(&gateway.socket()).unwrap();
    let trial = api.ask("POST", "/certificates/peer:test-sign", "").unwrap();
    assert_eq!(
        (&trial["ok"], &trial["place"]),
        (&json!(true), &json!("vault")),
        "{trial}"
    );
    assert_eq!(
        states(&trial),
        [vec!["left-out"], vec!["works"; 6], vec!["left-out"]].concat(),
        "{trial}"
    );
    let look = |api: &mut Api| api.ask("POST", "/certificates/peer:refresh", "").unwrap();
    let before = look(&mut api);
    vault.put("edge", version(&scene.near));
    let after = look(&mut api);
    assert_eq!(
        (&before["renewed"], &after["renewed"]),
        (&json!(false), &json!(true))
    );
    assert_ne!(before["key"]["version"], after["key"]["version"]);
    assert_eq!(provider_steps(&mut api), ["identity: ", "vault: "]);
    vault.fail(Part::Vault, Failure::Status(403, None), 1);
    assert_eq!(provider_steps(&mut api), ["identity: ", "vault: vault-refused"]);
}
