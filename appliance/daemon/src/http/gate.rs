use appliance_config::model::Role;
use axum::extract::{MatchedPath, Request, State};
use axum::http::header::{AUTHORIZATION, CACHE_CONTROL, COOKIE, HOST, ORIGIN};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::error::{Error, Why};
use super::router::Published;
use crate::access::{Access, Arrival, Caller, Denial, Log, Needs, Rule, Shown, knows, rule};
use crate::store::Audit;

/// The cookie of a session; browsers take one of this name over TLS only, and from this host alone.
pub(super) const SESSION: &str = "__Host-causeway";

const CSRF_TOKEN: HeaderName = HeaderName::from_static("x-csrf-token");
const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// What every answer says to browsers. Strict-Transport-Security is not among it: with a certificate that the machine made
/// itself it would take the way away on which people accept it.
const HEADERS: [(&str, &str); 5] = [
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-resource-policy", "same-origin"),
    (
        "content-security-policy",
        "default-src 'none'; frame-ancestors 'none'",
    ),
];

/// Lets through what its caller may do, and has what was done or refused written down.
pub(super) async fn gate(State(published): State<Published>, mut request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().cloned();
    let route = route.as_ref().map(MatchedPath::as_str);
    let rule = route.and_then(|route| rule(request.method().as_str(), route));
    let Some(arrival) = request.extensions_mut().remove::<Arrival>() else {
        return Error::Busy.into_response();
    };
    let access = &published.access;
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let asked = Asked {
        headers: request.headers(),
        method: &method,
        path: &path,
        route,
        rule,
    };
    let (caller, admitted) = asked.judge(access, arrival);
    let mut response = match admitted {
        Ok(()) => {
            request.extensions_mut().insert(caller.clone());
            next.run(request).await
        }
        Err(error) => error.into_response(),
    };
    let came = match response.extensions().get::<Why>() {
        Some(Why(reason)) => Err(*reason),
        None => Ok(()),
    };
    note(access, &caller, (&method, &path, route), (rule, came)).await;
    finish(response.headers_mut());
    response
}

struct Asked<'r> {
    headers: &'r HeaderMap,
    method: &'r Method,
    path: &'r str,
    route: Option<&'r str>,
    rule: Option<Rule>,
}

impl Asked<'_> {
    /// Who asks, and whether they may.
    fn judge(&self, access: &Access, arrival: Arrival) -> (Caller, Result<(), Error>) {
        let nobody = Caller::nobody(arrival.clone());
        if !arrival.is_let_in(&access.policy()) {
            return (nobody, Err(Denial::SourceNotAllowed.into()));
        }
        let open = self.rule.is_some_and(|rule| rule.needs == Needs::Nothing);
        let shown = self.shown();
        let of_browser = open || shown.cookie.is_some() || arrival.has_certificate();
        if shown.writes && of_browser && self.is_cross_site() {
            return (nobody, Err(Denial::CrossSite.into()));
        }
        let caller = match access.identify(arrival, &shown) {
            Ok(caller) => caller,
            // Whoever comes to sign in may still have the cookie of a session that has ended.
            Err(_) if open => return (nobody, Ok(())),
            Err(denial) => return (nobody, Err(denial.into())),
        };
        if let Arrival::Network { place, .. } = &caller.arrival
            && caller.role.is_some()
        {
            place.is_known();
        }
        let admitted = self.admit(access, &caller);
        (caller, admitted)
    }

    fn admit(&self, access: &Access, caller: &Caller) -> Result<(), Error> {
        let signed_in = Needs::Role(Role::Viewer);
        match (self.rule, self.route) {
            (Some(rule), _) => Ok(access.admit(caller, rule.needs, self.path)?),
            (None, None) => Ok(access.admit(caller, signed_in, self.path)?),
            (None, Some(route)) => {
                access.admit(caller, signed_in, self.path)?;
                if knows(route) {
                    Err(Error::MethodNotAllowed)
                } else {
                    Err(Denial::NotOpen.into())
                }
            }
        }
    }

    fn shown(&self) -> Shown<'_> {
        let text = |name: &HeaderName| self.headers.get(name).and_then(|value| value.to_str().ok());
        let authorization = self.headers.contains_key(AUTHORIZATION).then(|| {
            let (scheme, value) = text(&AUTHORIZATION)?.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then_some(value.trim())
        });
        Shown {
            authorization,
            cookie: cookie(self.headers),
            csrf_token: text(&CSRF_TOKEN),
            writes: !self.method.is_safe(),
        }
    }

    /// What browsers say of the page that sends the request; whatever says nothing is no browser of today.
    fn is_cross_site(&self) -> bool {
        let site = self.headers.get(FETCH_SITE);
        let foreign = site.is_some_and(|site| site != "same-origin" && site != "none");
        let origin = self.headers.get(ORIGIN).map(|origin| {
            let host = origin
                .to_str()
                .ok()
                .and_then(|origin| origin.strip_prefix("https://"));
            let ours = self.headers.get(HOST).and_then(|host| host.to_str().ok());
            host.is_none() || host != ours
        });
        foreign || origin.unwrap_or(false)
    }
}

/// The cookie of a session, if there is one.
pub(super) fn cookie(headers: &HeaderMap) -> Option<&str> {
    let fields = headers.get_all(COOKIE).iter();
    let mut pairs = fields
        .filter_map(|field| field.to_str().ok())
        .flat_map(|field| field.split(';'));
    pairs.find_map(|pair| pair.trim().strip_prefix(SESSION)?.strip_prefix('='))
}

/// What changed something that nobody else writes down, and every refused attempt to change something.
async fn note(
    access: &Access,
    caller: &Caller,
    (method, path, route): (&Method, &str, Option<&str>),
    (rule, came): (Option<Rule>, Result<(), &str>),
) {
    let noted = rule.is_some_and(|rule| rule.log == Log::Gate);
    let audit = |shown: &str, result: &str| Audit {
        author: caller.author(),
        what: format!("{method} {shown}"),
        result: result.to_owned(),
    };
    match came {
        Ok(()) if noted => access.note_done(audit(path, "done")).await,
        Err(reason) if !method.is_safe() => {
            // Strangers make up paths without end.
            let shown = if caller.role.is_some() { Some(path) } else { route };
            let shown: String = shown.unwrap_or("an unknown path").chars().take(200).collect();
            access.note_often(audit(&shown, reason)).await;
        }
        Ok(()) | Err(_) => (),
    }
}

fn finish(headers: &mut HeaderMap) {
    for (name, value) in HEADERS {
        let name = HeaderName::from_static(name);
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    headers
        .entry(CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
}
