use futures::future::join_all;

use super::machine::{Machine, document};

/// A clear answer each, and what was acknowledged is there.
#[tokio::test]
async fn a_thousand_requests_at_once_are_answered_each() {
    let machine = Machine::configured().await;
    let paths = [
        "/config",
        "/generations",
        "/status/system",
        "/events",
        "/audit",
        "/secrets",
    ];
    let change = |number: u32| {
        let mut changed = document();
        changed["connections"]["to-b"]["dpd_timeout_s"] = (100 + number).into();
        changed
    };
    let answers = join_all((0..1000_u32).map(async |number| {
        if number % 4 == 0 {
            let timeout = 100 + number;
            return (Some(timeout), machine.put(1, &change(number)).await);
        }
        let path = paths[usize::try_from(number).unwrap() % paths.len()];
        (None, machine.get(&format!("/api/v1{path}")).await)
    }))
    .await;
    let mut done = Vec::new();
    for (timeout, answer) in &answers {
        match (timeout, answer.status) {
            (Some(timeout), 200) => done.push(*timeout),
            (None, 200) | (Some(_), 412) => (),
            (_, 503) => {
                assert_eq!(answer.reason().1, "busy");
                assert!(answer.head.contains("retry-after: 1"), "{}", answer.head);
            }
            other => panic!("{other:?}: {answer:?}"),
        }
    }
    let told = machine.get("/api/v1/config/connections/to-b").await;
    match done.as_slice() {
        [] => assert_eq!(told.etag(), "\"1\""),
        [timeout] => assert_eq!(
            (told.etag(), &told.body["dpd_timeout_s"]),
            ("\"2\"", &(*timeout).into())
        ),
        more => panic!("{more:?} from one generation"),
    }
}
