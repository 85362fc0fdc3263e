use std::net::SocketAddr;

use super::local::{LocalOptions, Resolvers};
use super::*;

fn command(line: &str) -> Command {
    read(line.split_whitespace().map(OsString::from), &|_| None).unwrap()
}

fn refusal(line: &str) -> String {
    let error = read(line.split_whitespace().map(OsString::from), &|_| None).unwrap_err();
    assert_eq!(error.status(), 2);
    error.to_string()
}

#[test]
fn corednss_flags_are_taken_with_one_dash_or_two() {
    let wanted = ServeOptions {
        conf: Some("/etc/coredns/Corefile".into()),
        port: 1053,
        pidfile: Some("/run/x.pid".into()),
        quiet: true,
        log_format: LogFormat::Text,
        load: LoadLimits::default(),
        explain: PageAddresses::default(),
        handover: false,
        sandbox: true,
        snapshot: None,
    };
    let wanted = Command::Serve(wanted);
    assert_eq!(command("-conf /etc/coredns/Corefile -dns.port 1053 -pidfile /run/x.pid -quiet"), wanted);
    assert_eq!(command("--conf=/etc/coredns/Corefile --p=1053 -pidfile=/run/x.pid --quiet=true"), wanted);
    assert_eq!(command(""), Command::Serve(ServeOptions::default()));
    assert_eq!(command("-quiet=false"), Command::Serve(ServeOptions::default()));
}

#[test]
fn log_lines_are_text_or_json() {
    let format = |line: &str| match command(line) {
        Command::Serve(ServeOptions { log_format, .. }) | Command::Local(LocalOptions { log_format, .. }) => log_format,
        other => panic!("{other:?}"),
    };
    for line in
        ["-log-format=json", "-log-format json", "--log-format=json", "--log-format json", "local --log-format json x"]
    {
        assert_eq!(format(line), LogFormat::Json, "{line}");
    }
    assert_eq!((format("-log-format text"), format("")), (LogFormat::Text, LogFormat::Text));
    assert_eq!(command("check -log-format=json Corefile"), command("check Corefile"));
    assert!(refusal("-log-format xml").contains("-log-format takes text or json, got `xml`"));
    assert!(refusal("check --log-format=xml x").contains("--log-format takes text or json"));
    assert!(refusal("-log-format").contains("-log-format needs a value"));
}

#[test]
fn some_flags_are_commands() {
    assert_eq!(command("-conf x -version"), Command::Version);
    assert_eq!(command("--plugins"), Command::Plugins);
    assert_eq!(command("--help"), Command::Help);
    assert_eq!(command("local -h"), Command::Help);
    assert_eq!(command("-version=false"), Command::Serve(ServeOptions::default()));
}

#[test]
fn our_own_settings_have_a_flag_and_a_variable() {
    let variable = |name: &str| (name == "ROLLCALL_MAX_IN_FLIGHT").then(|| "7".to_owned());
    let max = |line: &str| match read(line.split_whitespace().map(OsString::from), &variable) {
        Ok(Command::Serve(options)) => options.load.max_in_flight,
        other => panic!("{other:?}"),
    };
    assert_eq!(max(""), 7);
    assert_eq!(max("-rollcall.max-in-flight 9"), 9);
    let rate = |line: &str, value: &'static str| {
        let variable = move |name: &str| (name == "ROLLCALL_RRL").then(|| value.to_owned());
        match read(line.split_whitespace().map(OsString::from), &variable) {
            Ok(Command::Serve(options)) => Ok((options.load.rate.per_second, options.load.rate.slip)),
            Ok(other) => panic!("{other:?}"),
            Err(error) => Err(error.to_string()),
        }
    };
    assert_eq!((rate("", ""), rate("", "20")), (Ok((0, 2)), Ok((20, 2))));
    assert_eq!(rate("-rollcall.rrl=7 -rollcall.rrl-slip 0", "20"), Ok((7, 0)));
    assert!(rate("", "many").unwrap_err().contains("ROLLCALL_RRL needs a number, got `many`"));
    assert!(rate("-rollcall.rrl-slip -1", "").unwrap_err().contains("rollcall.rrl-slip needs a number, got `-1`"));
    let explain = |line: &str, value: &'static str| {
        let variable = move |name: &str| (name == "ROLLCALL_EXPLAIN").then(|| value.to_owned());
        match read(line.split_whitespace().map(OsString::from), &variable) {
            Ok(Command::Serve(ServeOptions { explain, .. }) | Command::Local(LocalOptions { explain, .. })) => {
                Ok((explain.tcp.map(|address| address.to_string()), explain.socket))
            }
            Ok(other) => panic!("{other:?}"),
            Err(error) => Err(error.to_string()),
        }
    };
    let at = |address: &str| Ok((Some(address.to_owned()), Some("rollcall".to_owned())));
    assert_eq!(explain("", ""), Ok((None, Some("rollcall".into()))), "on by default, within the pod or machine");
    assert_eq!(explain("", "none"), Ok((None, None)));
    assert_eq!(explain("-rollcall.explain @other", ""), Ok((None, Some("other".into()))));
    assert_eq!(explain("", "127.0.0.1:8053"), at("127.0.0.1:8053"));
    assert_eq!(explain("-rollcall.explain [::1]:1", "127.0.0.1:8053"), at("[::1]:1"));
    assert!(explain("-rollcall.explain 8053", "").unwrap_err().contains("needs ADDRESS:PORT"));
    assert_eq!(explain("local x", "127.0.0.1:8053"), at("127.0.0.1:8053"));
    assert_eq!(explain("local --rollcall.explain [::1]:1 x", ""), at("[::1]:1"));
}

#[test]
fn snapshots_have_a_folder_and_an_age() {
    let snapshot = |line: &str, set: &'static [(&str, &str)]| {
        let variable = |name: &str| set.iter().find(|(own, _)| *own == name).map(|(_, value)| (*value).to_owned());
        match read(line.split_whitespace().map(OsString::from), &variable) {
            Ok(Command::Serve(options)) => Ok(options.snapshot.map(|own| (own.folder, own.max_age.as_secs()))),
            Ok(other) => panic!("{other:?}"),
            Err(error) => Err(error.to_string()),
        }
    };
    assert_eq!(snapshot("", &[("ROLLCALL_SNAPSHOT", "")]), Ok(None));
    assert_eq!(snapshot("-rollcall.snapshot /s", &[]), Ok(Some(("/s".into(), 3600))));
    let both = &[("ROLLCALL_SNAPSHOT", "/t"), ("ROLLCALL_SNAPSHOT_MAX_AGE", "90m")];
    assert_eq!(snapshot("", both), Ok(Some(("/t".into(), 5400))));
    assert_eq!(snapshot("--rollcall.snapshot=/s -rollcall.snapshot-max-age=45s", both), Ok(Some(("/s".into(), 45))));
    assert_eq!(snapshot("-rollcall.snapshot=", both), Ok(None), "the flag counts, and turns it off");
    for wrong in ["0", "1", "-1h", "soon"] {
        let said = snapshot(&format!("-rollcall.snapshot-max-age={wrong}"), &[]).unwrap_err();
        assert!(said.contains("as in 30m or 1h") && said.contains(wrong), "{said}");
    }
}

fn options(line: &str) -> LocalOptions {
    match command(line) {
        Command::Local(options) => options,
        other => panic!("{other:?}"),
    }
}

#[test]
fn local_takes_paths_among_its_flags() {
    let wanted = LocalOptions {
        listen: vec![SocketAddr::from(([127, 0, 0, 1], 5300))],
        zone: "example.org".into(),
        namespace: "prod".into(),
        forward: Resolvers::Nobody,
        ttl: 0,
        log_format: LogFormat::Text,
        explain: PageAddresses::default(),
        sandbox: true,
        paths: vec!["a.yaml".into(), "b".into(), "-".into()],
    };
    let line = "local a.yaml --listen 127.0.0.1:5300 -zone=example.org b -n prod --forward none --ttl 0 -";
    assert_eq!(options(line), wanted);
    let default = options("local x");
    assert_eq!((default.namespace.as_str(), default.ttl, default.forward), ("default", 5, Resolvers::OfTheMachine));
    assert_eq!(options("local --namespace=prod x").namespace, "prod");
}

#[test]
fn local_listens_where_it_is_told() {
    let listen = |line: &str| {
        let addresses = options(&format!("local {line} x")).listen;
        addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
    };
    for (line, wanted) in [
        ("", "127.0.0.1:1053"),
        ("--listen :1053", "[::]:1053"),
        ("--listen 5300", "127.0.0.1:5300"),
        ("--listen 127.0.0.1:1 --listen [::1]:2", "127.0.0.1:1 [::1]:2"),
        ("--listen 127.0.0.1:1,[::1]:2", "127.0.0.1:1 [::1]:2"),
        ("--listen 0.0.0.0:53", "0.0.0.0:53"),
    ] {
        assert_eq!(listen(line), wanted, "{line}");
    }
    assert!(listen("--listen localhost:1053").contains("127.0.0.1:1053"));
    for word in ["x", "::1:53", "127.0.0.1:x", "70000"] {
        assert!(refusal(&format!("local --listen {word} x")).contains(&format!("got `{word}`")), "{word}");
    }
}

#[test]
fn local_asks_whom_it_is_told() {
    let forward = |line: &str| match options(&format!("local {line} x")).forward {
        Resolvers::These(these) => these.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "),
        other => format!("{other:?}"),
    };
    assert_eq!(forward("--forward 192.0.2.1"), "192.0.2.1:53");
    assert_eq!(
        forward("--forward 192.0.2.1:5 --forward [2001:db8::1]:6,192.0.2.2"),
        "192.0.2.1:5 [2001:db8::1]:6 192.0.2.2:53"
    );
    assert_eq!(forward("--forward tls://192.0.2.1%a.example"), "tls://192.0.2.1%a.example:853");
    assert!(refusal("local --forward a.example x").contains("got `a.example`"));
    assert!(refusal("local --forward none --forward 192.0.2.1 x").contains("stands alone"));
    assert!(refusal("local --forward 192.0.2.1,none x").contains("stands alone"));
    assert!(refusal("local --ttl 5s x").contains("--ttl needs seconds"));
    assert!(refusal("local -n Prod x").contains("--namespace needs"));
    assert!(refusal("local - -").contains("only once"));
}

#[test]
fn check_takes_one_file() {
    let told = |output, here| Command::Check(CheckOptions { file: "Corefile".into(), output, here });
    assert_eq!(command("check Corefile"), told(Output::Text, false));
    assert_eq!(command("check --output json --here Corefile"), told(Output::Json, true));
    assert_eq!(command("check Corefile -o=json"), told(Output::Json, false));
    assert!(refusal("check --output yaml Corefile").contains("--output takes text or json, got `yaml`"));
    assert!(refusal("check").contains("check needs a Corefile"));
    assert!(refusal("check a b").contains("got `b` as well"));
}

#[test]
fn diff_takes_two_servers_and_where_the_names_come_from() {
    let server = |text: &str| server("from", text, false).unwrap();
    let wanted = DiffOptions {
        from: server("10.96.0.10"),
        to: server("[::1]:1053"),
        connection: Connection::Kubeconfig { file: "k".into(), context: None },
        zone: "example.org".into(),
        ttl: 5,
        show: 3,
    };
    assert_eq!((wanted.from.address.port(), wanted.to.address.port()), (53, 1053));
    let line = "diff --from 10.96.0.10 --to [::1]:1053 --kubeconfig=k -zone example.org --ttl 5 --show 3";
    assert_eq!(command(line), Command::Diff(wanted));
    assert!(refusal("diff --from 10.96.0.10").contains("diff needs two servers"));
    assert!(refusal("diff --from kube-dns --to 10.96.0.10").contains("--from needs ADDRESS[:PORT]"));
    assert!(refusal("diff --from 10.96.0.10:0 --to 10.96.0.10").contains("`0` is no port"));
    assert!(refusal("diff --to tls://10.96.0.10").contains("got `tls://10.96.0.10`"));
    assert!(refusal("diff --ttl soon").contains("--ttl needs seconds"));
    assert!(refusal("diff --show all").contains("show"));
    assert!(refusal("diff a b").contains("`a` is not expected"));
    assert!(refusal("diff --form 10.96.0.10").contains("unknown flag `--form`"));
}

#[test]
fn what_makes_no_command_is_refused_with_the_argument() {
    assert!(refusal("Corefile").contains("`Corefile` is not expected"));
    assert!(refusal("-config x").contains("unknown flag `-config`"));
    assert!(refusal("-conf").contains("-conf needs a value"));
    assert!(refusal("-dns.port dns").contains("got `dns`"));
    assert!(refusal("-quiet=maybe").contains("got `maybe`"));
    assert!(refusal("-rollcall.max-in-flight 0").contains("got `0`"));
    assert!(refusal("local x --zone").starts_with("--zone needs a value"));
    assert!(refusal("local").contains("local needs manifest files"));
    assert!(refusal("local --port 1 x").contains("unknown flag `--port`"));
}

#[test]
fn the_cluster_is_looked_for_where_kubectl_looks() {
    let from = |file, pairs: &'static [(&str, &str)]| {
        connection(file, &|name| pairs.iter().find(|(own, _)| *own == name).map(|(_, value)| (*value).to_owned()))
    };
    let file = |file: &str| Connection::Kubeconfig { file: file.into(), context: None };
    assert_eq!(from(Some("x"), &[("KUBECONFIG", "y")]).unwrap(), file("x"));
    assert_eq!(from(None, &[("KUBERNETES_SERVICE_HOST", "10.0.0.1")]).unwrap(), Connection::InCluster);
    assert_eq!(from(None, &[("KUBECONFIG", ":y:z"), ("HOME", "/h")]).unwrap(), file("y"));
    assert_eq!(from(None, &[("HOME", "/h")]).unwrap(), file("/h/.kube/config"));
    assert!(from(None, &[]).unwrap_err().to_string().contains("--kubeconfig FILE"));
}

#[test]
fn a_hand_over_is_asked_for_by_flag_or_environment() {
    let handover = |line: &str, value: &'static str| {
        let variable = |name: &str| (name == "ROLLCALL_HANDOVER").then(|| value.to_owned());
        match read(line.split_whitespace().map(OsString::from), &variable) {
            Ok(Command::Serve(options)) => Ok(options.handover),
            other => Err(format!("{other:?}")),
        }
    };
    assert_eq!((handover("", ""), handover("", "true")), (Ok(false), Ok(true)));
    assert_eq!((handover("-rollcall.handover", ""), handover("-rollcall.handover=false", "1")), (Ok(true), Ok(false)));
    assert!(handover("", "maybe").unwrap_err().contains("takes true or false"));
}

#[test]
fn the_sandbox_is_turned_off_by_flag_or_environment() {
    let sandbox = |line: &str, value: &'static str| {
        let variable = |name: &str| (name == "ROLLCALL_SANDBOX").then(|| value.to_owned());
        match read(line.split_whitespace().map(OsString::from), &variable) {
            Ok(Command::Serve(ServeOptions { sandbox, .. }) | Command::Local(LocalOptions { sandbox, .. })) => {
                Ok(sandbox)
            }
            other => Err(format!("{other:?}")),
        }
    };
    for (line, local) in [("", "local x"), ("-rollcall.sandbox on", "local --rollcall.sandbox=on x")] {
        assert_eq!((sandbox(line, ""), sandbox(local, "")), (Ok(true), Ok(true)));
    }
    for (line, value) in
        [("", "off"), ("-rollcall.sandbox=off", "on"), ("local x", "off"), ("local --rollcall.sandbox off x", "")]
    {
        assert_eq!(sandbox(line, value), Ok(false), "{line} {value}");
    }
    assert!(sandbox("-rollcall.sandbox maybe", "").unwrap_err().contains("takes on or off, got `maybe`"));
}
