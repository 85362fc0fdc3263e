use super::*;

/// The data that the table was made from.
struct TableData;

impl TemplateData for TableData {
    fn field(&self, name: &str) -> Option<GoValue> {
        let text = |text: &str| GoValue::Text(text.into());
        let map =
            |pairs: &[(&str, GoValue)]| pairs.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
        let number = |number: u64| GoValue::Uint(number, UintSize::Sixteen);
        let question = || {
            let fields = vec![("Name", text("Ip-10-1.Example.org.")), ("Qtype", number(16)), ("Qclass", number(1))];
            let shown = ";Ip-10-1.Example.org.\tIN\t TXT".to_owned();
            GoValue::Object(GoObject { kind: "dns.Question", shown, fields }.into())
        };
        Some(match name {
            "Zone" => text("example.org."),
            "Name" => text("ip-10-1.example.org."),
            "Regex" => text("^ip-(?P<a>[0-9]+)-([0-9]+)(x)?"),
            "Class" => text("IN"),
            "Type" => text("TXT"),
            "Remote" => text("127.0.0.1"),
            "Match" => GoValue::List("string", ["ip-10-1", "10", "1", ""].map(text).into()),
            "Group" => {
                let all = [("0", "ip-10-1"), ("1", "10"), ("2", "1"), ("3", ""), ("a", "10")];
                GoValue::Map("string", std::sync::Arc::new(map(&all.map(|(key, value)| (key, text(value))))))
            }
            "Var" => {
                let all = [("text", text("ten")), ("number", GoValue::Int(10)), ("yes", GoValue::Bool(true))];
                GoValue::Map("interface {}", std::sync::Arc::new(map(&all)))
            }
            "Question" => question(),
            "Message" => {
                let fields = vec![
                    ("Id", number(4711)),
                    ("RecursionDesired", GoValue::Bool(true)),
                    ("Response", GoValue::Bool(false)),
                    ("Rcode", GoValue::Int(0)),
                    ("Opcode", GoValue::Int(0)),
                    ("Question", GoValue::List("dns.Question", [question()].into())),
                    ("Answer", GoValue::List("dns.RR", [].into())),
                    ("Extra", GoValue::List("dns.RR", [GoValue::Nil].into())),
                ];
                GoValue::Object(GoObject { kind: "dns.Msg", shown: String::new(), fields }.into())
            }
            _ => return None,
        })
    }

    fn is_method(&self, name: &str) -> bool {
        name == "Meta"
    }

    fn call(&self, _: &str, argument: &str) -> GoValue {
        GoValue::Text(if argument == "known/label" { "value" } else { "" }.into())
    }
}

fn fill(text: &str) -> Result<String, String> {
    Template::parse(text)?.fill(&TableData)
}

#[test]
fn templates_are_filled_in_as_go_does_it() {
    let table = include_str!("../../../tests/fixtures/gotext.jsonl");
    let mut wrong = Vec::new();
    let mut rows = 0;
    for row in table.lines().filter(|row| !row.starts_with('#')) {
        let row: std::collections::BTreeMap<String, String> = serde_json::from_str(row).unwrap();
        let template = &row["template"];
        let got = match Template::parse(template) {
            Err(_) => Err("reading"),
            Ok(read) => read.fill(&TableData).map_err(|_| "filling"),
        };
        let right = row.get("text").cloned().ok_or_else(|| row["fails"].as_str());
        if got != right {
            wrong.push(format!("{template}\n    is {got:?}\n    in Go {right:?}"));
        }
        rows += 1;
    }
    assert!(wrong.is_empty(), "{} of {rows} differ:\n{}", wrong.len(), wrong.join("\n"));
    assert!(rows > 1500);
}

#[test]
fn work_is_bounded() {
    assert!(fill("{{ range 1000000000 }}{{ end }}").is_err());
    assert!(fill("{{ range 1000 }}{{ range 1000 }}a{{ end }}{{ end }}").is_err());
    assert!(fill("{{ range 1000 }}{{ printf \"%9999d\" 1 }}{{ end }}").is_err());
    let wide = "{{ range 1000 }}{{ $x := printf \"%1000000d %.1000000f %1000000U %.1000000e\" 1 1.5 1 1.5 }}{{ end }}";
    assert!(fill(wide).is_err());
    assert!(fill("{{ define \"x\" }}{{ template \"x\" }}{{ end }}{{ template \"x\" }}").is_err());
}

#[test]
fn what_lies_too_deep_is_refused_and_not_read_to_the_end_of_the_stack() {
    const MANY: usize = 100_000;
    let nested = |open: &str, middle: &str, close: &str, times: usize| {
        format!("{}{middle}{}", open.repeat(times), close.repeat(times))
    };
    let inner = |times| {
        [
            nested("{{if true}}", "a", "{{end}}", times),
            nested("{{if true}}{{else}}", "a", "{{end}}", times),
            format!("{{{{ {} }}}}", nested("(", ".Name", ")", times)),
            format!("{{{{ {} }}}}", nested("print (", ".Name", ")", times)),
            format!("{{{{if {}}}}}a{{{{end}}}}", nested("(", ".Name", ")", times)),
            format!("{{{{ {} }}}}", nested("(", ".Name", " | print | print)", times)),
            nested("{{with .Name}}", "a", "{{end}}", times),
            nested("{{range .Match}}", "a", "{{end}}", times),
            format!("{}{{{{ end }}}}", nested("{{block \"a\" .}}", "a", "{{end}}", times)),
        ]
    };
    for text in inner(MANY) {
        let said = Template::parse(&text).unwrap_err();
        assert!(said.contains("64 parts"), "{said}");
    }
    for text in inner(30).iter().take(6) {
        assert!(fill(text).is_ok(), "{text}");
    }
    // What stands side by side is not deep.
    let arms = format!("{{{{if false}}}}{}{{{{end}}}}", "{{else if false}}b".repeat(1000));
    assert_eq!(fill(&arms).unwrap(), "");
    assert_eq!(fill(&"{{if true}}a{{end}}".repeat(1000)).unwrap(), "a".repeat(1000));
    assert_eq!(fill(&format!("{{{{ .Class{} }}}}", " | print".repeat(1000))).unwrap(), "IN");
}

proptest::proptest! {
    #[test]
    fn no_template_is_too_odd(text in "([{}]{2}|[ -~é\n]|\\{\\{ ?(if|with|range|end|else|printf|index|slice|define|template|block) |\"%[-+# 0-9.*v-x]{1,4}\"|[.$]Match|\\}\\}){0,24}") {
        let _ = fill(&text);
    }
}
