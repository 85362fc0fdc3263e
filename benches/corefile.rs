//! From the text of a Corefile to its tree: kubeadm's, and a long one.

#![allow(missing_docs, reason = "criterion's macros write functions without documentation")]

use criterion::{Criterion, criterion_group, criterion_main};
use rollcall::corefile::{CorefileSource, parse};

const KUBEADM: &str = ".:53 {
    errors
    health {
       lameduck 5s
    }
    ready
    kubernetes cluster.local in-addr.arpa ip6.arpa {
       pods insecure
       fallthrough in-addr.arpa ip6.arpa
       ttl 30
    }
    prometheus :9153
    forward . /etc/resolv.conf {
       max_concurrent 1000
    }
    cache 30 {
       disable success cluster.local
       disable denial cluster.local
    }
    loop
    reload
    loadbalance
}
";

fn corefile(criterion: &mut Criterion) {
    let mut long = KUBEADM.to_owned();
    for zone in 0..500 {
        long += &format!("stub{zone}.example.org {{\n    forward . 192.0.2.1 192.0.2.2\n    cache 30\n}}\n");
    }
    for (title, text) in [("kubeadm", KUBEADM.to_owned()), ("500_stub_zones", long)] {
        let source = CorefileSource::Text { name: "Corefile".into(), text };
        let read = || parse(&source, &|_| None).map(|tree| assert!(!tree.blocks.is_empty()));
        assert!(read().is_ok());
        criterion.bench_function(&format!("corefile/{title}"), |bencher| bencher.iter(read));
    }
}

criterion_group!(benches, corefile);
criterion_main!(benches);
