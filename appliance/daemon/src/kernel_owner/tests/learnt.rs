//! Routes that BGP learnt.

use appliance_kernel::fake::FakeKernel;
use appliance_kernel::{Key, Object, Target};
use ike::{ChildId, ConnectionName};

use super::rig::*;
use crate::datapath::{LearntRoute, Request};
use crate::derive::Speaker;

/// The routes that BGP learnt, with their links.
fn learnt(kernel: &FakeKernel) -> Vec<String> {
    let objects = kernel.objects();
    let learnt = objects.values().filter_map(|object| match object {
        Object::Route(route) => match &route.target {
            Target::Learnt(links) => {
                let links: Vec<&str> = links.iter().map(appliance_kernel::LinkName::as_str).collect();
                Some(format!("{} {} {}", route.prefix, route.metric, links.join("+")))
            }
            Target::Link { .. } | Target::Gateway { .. } | Target::Marked(..) | Target::Unreachable => None,
        },
        _ => None,
    });
    learnt.collect()
}

fn set(prefix: &str, ways: &[&str]) -> LearntRoute {
    let ways = ways.iter().map(|way| ConnectionName((*way).into())).collect();
    LearntRoute::Set(prefix.parse().unwrap(), ways)
}

#[tokio::test]
async fn learnt_routes_go_in_and_a_default_route_gets_rules() {
    let kernel = FakeKernel::new();
    let rig = Rig::with(&kernel, with_second()).await;
    let changes = vec![
        set("10.9.0.0/16", &["to-b", "second"]),
        set("0.0.0.0/0", &["to-b"]),
    ];
    rig.ask(|answer| Request::Learnt(changes, answer)).await;
    let expected = ["0.0.0.0/0 187 cw-to-b", "10.9.0.0/16 186 cw-second+cw-to-b"];
    assert_eq!(learnt(&kernel), expected);
    let rules = |kernel: &FakeKernel| {
        let objects = kernel.objects();
        objects.keys().filter(|key| matches!(key, Key::Rule(_))).count()
    };
    assert_eq!(rules(&kernel), 4);
    let steps = kernel.performed();
    let place = |wanted: &dyn Fn(&Key) -> bool| steps.iter().position(|step| wanted(step.key())).unwrap();
    let (rule, route) = (
        place(&|key| matches!(key, Key::Rule(_))),
        place(&|key| matches!(key, Key::Route(route) if route.metric == 187)),
    );
    assert!(
        rule < route,
        "what keeps the tunnel's own packets out comes first"
    );
    let gone = vec![LearntRoute::Remove("0.0.0.0/0".parse().unwrap())];
    rig.ask(|answer| Request::Learnt(gone, answer)).await;
    assert_eq!((learnt(&kernel).len(), rules(&kernel)), (1, 0));
    rig.ask(Request::Close).await;
    assert_eq!(learnt(&kernel), [""; 0]);
}

/// As `kill -9`: routes stay, those that are learnt again are claimed, and the others go once nobody waits for them.
#[tokio::test]
async fn learnt_routes_outlive_the_daemon_that_learnt_them() {
    let kernel = FakeKernel::new();
    let rig = Rig::start(&kernel).await;
    let changes = vec![set("10.8.0.0/16", &["to-b"]), set("10.9.0.0/16", &["to-b"])];
    rig.ask(|answer| Request::Learnt(changes, answer)).await;
    rig.crash();
    let rig = Rig::start(&kernel).await;
    assert_eq!(learnt(&kernel).len(), 2);
    rig.ask(|answer| Request::Learnt(vec![set("10.9.0.0/16", &["to-b"])], answer))
        .await;
    assert_eq!(learnt(&kernel).len(), 2);
    rig.tell(Request::ReleaseLearnt).await;
    assert_eq!(learnt(&kernel), ["10.9.0.0/16 186 cw-to-b"]);
}

/// What somebody deletes is made again; what is refused is told to BGP, and that it is no more.
#[tokio::test]
async fn bgp_knows_what_carries_and_what_is_refused() {
    let kernel = FakeKernel::new();
    let mut network = network();
    let tunnel = network.tunnels.get_mut(&name()).unwrap();
    let address = [169, 254, 21, 1].into();
    tunnel.speaker = Some(Speaker { address, rank: 0 });
    let mut rig = Rig::with(&kernel, network).await;
    let prefix: ipnet::IpNet = "10.9.0.0/16".parse().unwrap();
    let key = Key::Route(appliance_kernel::Route::learnt(prefix, [], false).key());
    kernel.refuse(key.clone(), 28, "no room");
    rig.ask(|answer| Request::Learnt(vec![set("10.9.0.0/16", &["to-b"])], answer))
        .await;
    rig.ask(Request::Refresh).await;
    let ground = rig.ground.borrow_and_update().clone();
    assert!(ground.refused[&prefix].contains("no room") && ground.carried.is_empty());
    kernel.accept(&key);
    let taken = rig.ground.wait_for(|ground| ground.refused.is_empty());
    taken.await.unwrap();
    assert_eq!(learnt(&kernel), ["10.9.0.0/16 186 cw-to-b"]);
    kernel.lose(&key);
    rig.install(1, 0x100).await;
    rig.ask(Request::Refresh).await;
    rig.ask(Request::Refresh).await;
    assert_eq!(learnt(&kernel), ["10.9.0.0/16 186 cw-to-b"]);
    assert_eq!(rig.ground.borrow().carried, [name()].into());
    rig.tell(Request::Remove(ChildId(1))).await;
    rig.ask(Request::Refresh).await;
    assert!(rig.ground.borrow().carried.is_empty());
}
