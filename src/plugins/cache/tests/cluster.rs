//! The names of the cluster, which are never remembered.

use super::*;

// Invariant: the records of the cluster never pass through a cache.
#[test]
fn what_the_cluster_answers_is_not_remembered() {
    for plugin in ["kubernetes", "k8s_external"] {
        let (chain, _) = chain("cache", As(plugin, answers()));
        for _ in 0..3 {
            let Outcome::Reply(reply) = run_chain(&chain, &mut query("www.example.", RecordType::A)) else {
                panic!("no reply")
            };
            assert_eq!(reply.plugin, plugin);
        }
    }
}

/// The number of answers of the plugin that a chain leads to, when one name is asked for three times.
fn times_asked(chain: &[Arc<dyn Plugin>], name: &str, beyond: &'static str) -> usize {
    struct Counts(Arc<AtomicUsize>, As);
    impl Plugin for Counts {
        fn name(&self) -> &'static str {
            self.1.0
        }
        fn serve<'a>(&'a self, query: &'a mut Query, next: Next<'a>) -> BoxFuture<'a, Outcome> {
            self.0.fetch_add(1, Ordering::Relaxed);
            Box::pin(async move {
                let mut outcome = self.1.serve(query, next).await;
                if let Outcome::Reply(reply) = &mut outcome
                    && let Ok(message) = reply.message()
                    && message.answers.is_empty()
                {
                    message.metadata.response_code = ResponseCode::NXDomain;
                }
                outcome
            })
        }
        fn is_of_cluster(&self) -> bool {
            self.1.is_of_cluster()
        }
        fn needs_message(&self, _: &[Name]) -> Option<String> {
            None
        }
    }
    let count = Arc::new(AtomicUsize::new(0));
    let last = || -> Arc<dyn Plugin> {
        let web = Answers { exact: true, ..Answers::with("web.default.svc.cluster.local. 30 IN A 10.96.0.5") };
        Arc::new(Counts(count.clone(), As(beyond, web)))
    };
    let chain: Vec<Arc<dyn Plugin>> = chain.iter().cloned().chain([last()]).collect();
    let resolver = Arc::new(Asks(vec![last()]));
    for _ in 0..3 {
        let mut query = query(name, RecordType::A);
        query.resolver = resolver.clone();
        let reply = message(run_chain(&chain, &mut query));
        assert!(reply.answers.iter().any(|record| record.record_type() == RecordType::A), "{name}");
    }
    count.load(Ordering::Relaxed)
}

// Invariant: nor does an answer that was made of them, whichever plugin made it.
#[test]
fn what_is_made_of_the_clusters_records_is_not_remembered() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let zone = file(
        "db",
        "$ORIGIN corp.example.\n@ 60 IN SOA ns1 host 1 7200 3600 1209600 300\n\
         www 60 IN CNAME web.default.svc.cluster.local.\n",
    );
    let search = file("resolv.conf", "search svc.elsewhere. default.svc.cluster.local.\n");
    let makers = [
        (format!("file {zone} corp.example"), "www.corp.example."),
        (
            "template IN A corp.example {\nanswer \"{{ .Name }} 60 IN CNAME web.default.svc.cluster.local.\"\n}".into(),
            "www.corp.example.",
        ),
        ("rewrite name exact www.corp.example. web.default.svc.cluster.local. answer auto".into(), "www.corp.example."),
        (format!("autopath {search}"), "web.svc.elsewhere."),
    ];
    for (maker, name) in makers {
        let chain = block(&format!("cache\n{maker}")).unwrap().chain;
        let [of_cluster, others] = ["kubernetes", "forward"].map(|beyond| times_asked(&chain, name, beyond));
        assert!(of_cluster >= 3 && others < of_cluster, "{maker}: asked {of_cluster} and {others} times");
    }
}

#[test]
fn a_failure_on_the_way_through_the_cluster_is_not_remembered() {
    let of_cluster: Arc<dyn Plugin> = Arc::new(As("kubernetes", Answers::rcode(ResponseCode::ServFail)));
    let text = "cache\ntemplate IN A example {\nanswer \"{{ .Name }} 60 IN CNAME web.cluster.local.\"\n}";
    let chain = block(text).unwrap().chain;
    let ask = |resolver: Arc<dyn Plugin>| {
        let mut query = query("www.example.", RecordType::A);
        query.resolver = Arc::new(Asks(vec![resolver]));
        message(run_chain(&chain, &mut query)).metadata.response_code
    };
    assert_eq!(ask(of_cluster), ResponseCode::ServFail);
    assert_eq!(ask(Arc::new(Answers::with("web.cluster.local. 5 IN A 10.96.0.5"))), ResponseCode::NoError);
}

#[test]
fn the_clusters_records_have_the_ttls_that_others_would_have() {
    for (directive, ttl, shown) in [
        ("cache 30", 300, 30),
        ("cache 30", 20, 20),
        ("cache 30", 2, 5),
        ("cache 30", 0, 0),
        ("cache 30 example.", 300, 30),
        ("cache 30 example.org", 300, 300),
        ("cache {\nsuccess 9984 60 10\n}", 4, 10),
        ("cache 30 {\ndisable success\n}", 300, 30),
    ] {
        for plugin in ["kubernetes", "k8s_external"] {
            let answers = Answers::with(&format!("www.example. {ttl} IN A 10.96.0.5"));
            let (chain, _) = chain(directive, As(plugin, answers));
            let shows = ttls(run_chain(&chain, &mut query("www.example.", RecordType::A)));
            assert_eq!(shows, [shown], "{directive}, {ttl}, {plugin}");
        }
    }
}

#[test]
fn the_clusters_alias_keeps_its_ttl_beside_what_its_target_has() {
    let alias = "www.example. 300 IN CNAME www.example.org.";
    let shown = |answers: Answers| {
        let (chain, _) = chain("cache 30", As("kubernetes", answers));
        ttls(run_chain(&chain, &mut query("www.example.", RecordType::A)))
    };
    // What the look-up of the target found in a cache has been counted down there.
    assert_eq!(shown(Answers::with(&format!("{alias}\nwww.example.org. 12 IN A 192.0.2.1"))), [30, 12]);
    assert_eq!(shown(Answers { rcode: Some(ResponseCode::ServFail), ..Answers::with(alias) }), [30]);
    assert_eq!(shown(Answers { rcode: Some(ResponseCode::Refused), ..Answers::with(alias) }), [30]);
    let soa = Answers::with("example.org. 7 IN SOA ns.example.org. host.example.org. 1 7200 1800 86400 60").answers;
    let denied = Answers { rcode: Some(ResponseCode::NXDomain), authority: soa, ..Answers::with(alias) };
    assert_eq!(shown(denied), [30]);
    // Kubernetes DNS 2.2: the version of the schema.
    assert_eq!(shown(Answers::with("dns-version.example. 28800 IN TXT \"1.1.0\"")), [28_800]);
}

/// The cluster's plugin: has the name, or hands it on.
struct ClusterPlugin(Arc<View>, Arc<AtomicBool>);

impl Plugin for ClusterPlugin {
    fn name(&self) -> &'static str {
        "kubernetes"
    }

    fn serve<'a>(&'a self, query: &'a mut Query, _: Next<'a>) -> BoxFuture<'a, Outcome> {
        Box::pin(async {
            match self.1.load(Ordering::Relaxed) {
                true => Outcome::Reply(Reply::from_message("kubernetes", query.reply_message())),
                false => Outcome::Next,
            }
        })
    }

    fn needs_message(&self, _: &[Name]) -> Option<String> {
        None
    }

    fn view(&self) -> Option<Arc<View>> {
        Some(self.0.clone())
    }

    fn cluster_zones(&self) -> &[Name] {
        &self.0.zones
    }
}

// Invariant: nor does an answer that stands only as long as the cluster has not some other name.
#[test]
fn what_is_found_elsewhere_after_the_cluster_had_no_name_on_the_way_is_not_remembered() {
    /// The cluster: denies every name, or hands it on, and counts.
    struct Empty(ClusterPlugin, bool);
    impl Plugin for Empty {
        fn name(&self) -> &'static str {
            "kubernetes"
        }
        fn serve<'a>(&'a self, query: &'a mut Query, _: Next<'a>) -> BoxFuture<'a, Outcome> {
            Box::pin(async {
                let name = query.name().to_ascii();
                let mut message = query.reply_message();
                message.metadata.response_code = ResponseCode::NXDomain;
                match self.1 || !name.ends_with(".cluster.local.") {
                    true => Outcome::Next,
                    false => Outcome::Reply(Reply::from_message("kubernetes", message)),
                }
            })
        }
        fn needs_message(&self, _: &[Name]) -> Option<String> {
            None
        }
        fn cluster_zones(&self) -> &[Name] {
            self.0.cluster_zones()
        }
    }
    /// Asks for a name of the cluster first.
    struct Searches;
    impl Plugin for Searches {
        fn name(&self) -> &'static str {
            "searches"
        }
        fn serve<'a>(&'a self, query: &'a mut Query, next: Next<'a>) -> BoxFuture<'a, Outcome> {
            Box::pin(async move {
                let own = query.name();
                query.request.change(|request| request.queries[0].name = "gone.cluster.local.".parse().unwrap());
                drop(next.run(&mut *query).await);
                query.request.change(|request| request.queries[0].name = own);
                next.run(query).await
            })
        }
        fn needs_message(&self, _: &[Name]) -> Option<String> {
            None
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("resolv.conf");
    std::fs::write(&path, "search default.svc.cluster.local svc.cluster.local cluster.local\n").unwrap();
    let view = block("kubernetes cluster.local").unwrap().view().unwrap();
    let autopath = format!("autopath {}", path.display());
    let alias = "template IN A corp.example {\nanswer \"{{ .Name }} 60 IN CNAME www.cluster.local.\"\n}";
    for (lines, searches, name, falls_through, kept) in [
        ("", true, "www.example.", false, false),
        ("", true, "www.example.", true, false),
        (alias, false, "www.corp.example.", true, false),
        // Its own name is asked for again before what is remembered is given; others have no part in it.
        ("", false, "www.cluster.local.", true, true),
        ("", false, "www.example.", false, true),
        // What the search path finds is remembered by its own name, whatever was denied on the way.
        (autopath.as_str(), false, "www.example.default.svc.cluster.local.", false, true),
    ] {
        let asked = Arc::new(AtomicUsize::new(0));
        let cluster = || -> [Arc<dyn Plugin>; 2] {
            let empty = Empty(ClusterPlugin(view.clone(), Arc::default()), falls_through);
            [Arc::new(empty), Arc::new(KnowsTwoNames(asked.clone()))]
        };
        let mut chain = block(&format!("cache\n{lines}")).unwrap().chain;
        if searches {
            chain.push(Arc::new(Searches));
        }
        chain.extend(cluster());
        let mut counts = Vec::new();
        for _ in 0..3 {
            let mut query = query(name, RecordType::A);
            query.resolver = Arc::new(Asks(cluster().into()));
            let reply = message(run_chain(&chain, &mut query));
            assert!(!reply.answers.is_empty(), "{lines} {name}");
            counts.push(asked.swap(0, Ordering::Relaxed));
        }
        assert_eq!(counts[1..] == [0, 0], kept, "{lines} {name}: {counts:?}");
    }
}

/// Knows `www.example.` and `www.cluster.local.`, and counts how often it is asked.
struct KnowsTwoNames(Arc<AtomicUsize>);

impl Plugin for KnowsTwoNames {
    fn name(&self) -> &'static str {
        "forward"
    }

    fn serve<'a>(&'a self, query: &'a mut Query, _: Next<'a>) -> BoxFuture<'a, Outcome> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Box::pin(async {
            let mut message = query.reply_message();
            match query.name().to_ascii().as_str() {
                name @ ("www.example." | "www.cluster.local.") => {
                    message.answers.push(parse_line(&format!("{name} 300 IN A 192.0.2.1"), None, 5).unwrap());
                }
                _ => message.metadata.response_code = ResponseCode::NXDomain,
            }
            Outcome::Reply(Reply::from_message("forward", message))
        })
    }

    fn needs_message(&self, _: &[Name]) -> Option<String> {
        None
    }
}

#[test]
fn a_name_that_joins_the_cluster_is_seen_at_once_though_an_answer_is_remembered() {
    let view = block("kubernetes cluster.local in-addr.arpa").unwrap().view().unwrap();
    let joined = Arc::new(AtomicBool::new(false));
    let (mut chain, _) = chain("cache", ClusterPlugin(view, joined.clone()));
    chain.push(Arc::new(As("forward", Answers::with("9.2.0.192.in-addr.arpa. 300 IN PTR outside.example."))));
    let writer = || match run_chain(&chain, &mut query("9.2.0.192.in-addr.arpa.", RecordType::PTR)) {
        Outcome::Reply(reply) => reply.plugin,
        other => panic!("no reply but {other:?}"),
    };
    assert_eq!([writer(), writer()], ["forward", "cache"], "an outside reverse name is remembered");
    joined.store(true, Ordering::Relaxed);
    assert_eq!(writer(), "kubernetes");
    joined.store(false, Ordering::Relaxed);
    assert_eq!(writer(), "cache");
}
