use std::collections::BTreeMap;
use std::io::Write;
use std::sync::LazyLock;

use axum::extract::Path;
use axum::http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE, VARY,
};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use rust_embed::{Embed, EmbeddedFile};

use super::error::Error;

/// What Vite made of `web-ui/src`, as it lies in the repository.
#[derive(Embed)]
#[folder = "../../web-ui/dist"]
struct Dist;

/// A file of the console as it is sent.
struct Asset {
    media: &'static str,
    cache: &'static str,
    plain: Bytes,
    compressed: Bytes,
}

/// By path below the root; compressed once, when somebody first asks.
static ASSETS: LazyLock<BTreeMap<String, Asset>> = LazyLock::new(|| {
    let files = Dist::iter().filter_map(|path| Some((path.to_string(), Dist::get(&path)?)));
    files
        .map(|(path, file)| (path.clone(), asset(&path, file)))
        .collect()
});

/// What a page of the console may do: use what comes from here, and nothing that is written into it.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
     base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
);

/// `GET /`: the page of the console.
pub(super) async fn page(headers: HeaderMap) -> Response {
    sent("index.html", &headers)
}

/// `GET /icon.svg`.
pub(super) async fn icon(headers: HeaderMap) -> Response {
    sent("icon.svg", &headers)
}

/// `GET /assets/{name}`: scripts and styles, whose names change with what is in them.
pub(super) async fn named(Path(name): Path<String>, headers: HeaderMap) -> Response {
    sent(&format!("assets/{name}"), &headers)
}

fn sent(path: &str, headers: &HeaderMap) -> Response {
    let Some(asset) = ASSETS.get(path) else {
        return Error::UnknownPath.into_response();
    };
    let mut response = if takes_gzip(headers) {
        let encoding = [(CONTENT_ENCODING, "gzip")];
        (encoding, asset.compressed.clone()).into_response()
    } else {
        asset.plain.clone().into_response()
    };
    let told = response.headers_mut();
    told.insert(CONTENT_TYPE, HeaderValue::from_static(asset.media));
    told.insert(CACHE_CONTROL, HeaderValue::from_static(asset.cache));
    told.insert(VARY, HeaderValue::from_static("accept-encoding"));
    told.insert(CONTENT_SECURITY_POLICY, POLICY);
    response
}

/// Whether gzip is among what the client takes (RFC 9110 §12.5.3); one that gives it the weight 0 does not.
fn takes_gzip(headers: &HeaderMap) -> bool {
    let fields = headers.get_all(ACCEPT_ENCODING).iter();
    let mut codings = fields
        .filter_map(|field| field.to_str().ok())
        .flat_map(|field| field.split(','));
    codings.any(|coding| {
        let (name, weight) = coding.split_once(';').unwrap_or((coding, ""));
        let weight = weight.trim().strip_prefix("q=").map(str::parse::<f32>);
        name.trim().eq_ignore_ascii_case("gzip") && weight != Some(Ok(0.0))
    })
}

fn asset(path: &str, file: EmbeddedFile) -> Asset {
    let plain = Bytes::from(file.data.into_owned());
    Asset {
        media: media(path),
        cache: if path.starts_with("assets/") {
            "public, max-age=31536000, immutable"
        } else {
            "no-cache"
        },
        compressed: compressed(&plain),
        plain,
    }
}

fn media(path: &str) -> &'static str {
    match path.rsplit('.').next() {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some(_) | None => "application/octet-stream",
    }
}

fn compressed(plain: &[u8]) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    // What goes to memory does not fail.
    let written = encoder.write_all(plain).and_then(|()| encoder.finish());
    Bytes::from(written.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use axum::body::to_bytes;
    use axum::http::StatusCode;
    use flate2::read::GzDecoder;

    use super::*;

    /// What all of it may be, compressed, in octets.
    const BUDGET: usize = 200_000;

    fn taking(encoding: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(ACCEPT_ENCODING, HeaderValue::from_static(encoding))])
    }

    #[tokio::test]
    async fn the_page_and_all_it_names_are_there_and_small() {
        let response = page(taking("gzip, br")).await;
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()[CACHE_CONTROL], "no-cache");
        let policy = response.headers()[CONTENT_SECURITY_POLICY].to_str().unwrap();
        assert!(
            policy.starts_with("default-src 'none'") && !policy.contains("unsafe"),
            "{policy}"
        );
        let body = to_bytes(response.into_body(), BUDGET).await.unwrap();
        let mut html = String::new();
        GzDecoder::new(&*body).read_to_string(&mut html).unwrap();
        assert!(!html.contains("<style") && !html.contains("://"), "{html}");
        let quoted = html.split('"').skip(1).step_by(2);
        let named: Vec<&str> = quoted.filter_map(|text| text.strip_prefix('/')).collect();
        assert!(named.len() >= 3, "{html}");
        for name in named {
            assert!(
                ASSETS.contains_key(name),
                "{name} is not there: cd web-ui && npm run build"
            );
        }
        let all: usize = ASSETS.values().map(|asset| asset.compressed.len()).sum();
        assert!(all < BUDGET, "{all} octets");
    }

    #[tokio::test]
    async fn who_takes_no_gzip_gets_none_and_what_is_not_there_is_404() {
        for encoding in ["identity", "gzip;q=0"] {
            let response = icon(taking(encoding)).await;
            assert!(!response.headers().contains_key(CONTENT_ENCODING), "{encoding}");
            let body = to_bytes(response.into_body(), BUDGET).await.unwrap();
            assert!(body.starts_with(b"<svg"));
        }
        let script = ASSETS
            .keys()
            .find_map(|path| path.strip_prefix("assets/"))
            .unwrap();
        let script = named(Path(script.to_owned()), taking("gzip")).await;
        assert!(
            script.headers()[CACHE_CONTROL]
                .to_str()
                .unwrap()
                .contains("immutable")
        );
        for path in ["../index.html", "nope.js", ""] {
            let response = named(Path(path.to_owned()), HeaderMap::new()).await;
            assert_eq!(response.status(), StatusCode::NOT_FOUND, "{path}");
        }
    }
}
