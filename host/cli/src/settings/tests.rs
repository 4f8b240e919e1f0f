//! Whole configurations in, settings or every mistake out.

mod access;
mod traces;

use signalbox_engine::{KeepAlive, PackFiles};

use super::*;

const MACHINE: Machine = Machine { memory_bytes: 100 << 30 };
const PREDECESSORS: [&str; 2] = [
    include_str!("../../tests/data/config.five_models_with_aya.json"),
    include_str!("../../tests/data/config.five_models_awq_resolved.json"),
];

fn parse(text: &str) -> Result<Settings, Vec<Mistake>> {
    let environment = |name: &str| match name {
        "TOKEN" => Some("correct-horse".to_owned()),
        "HOME" => Some("/home/me".to_owned()),
        "KEY" => Some("sixteen-or-more-3".to_owned()),
        _ => None,
    };
    Settings::parse(text, Path::new("/etc/box"), MACHINE, &environment)
}

/// A configuration with one good expert and `more` behind it.
fn with(more: &str) -> String {
    format!("{{ \"experts\": [ {{ \"expert_id\": \"a\", \"model_path\": \"m\" }} ], {more} }}")
}

fn mistakes(text: &str) -> Vec<String> {
    parse(text).expect_err(text).iter().map(ToString::to_string).collect()
}

fn warnings(text: &str) -> Vec<String> {
    parse(text).unwrap().warnings.iter().map(ToString::to_string).collect()
}

fn check(more: &str, expect: &[&str]) {
    assert_eq!(mistakes(&with(more)), expect, "{more}");
}

#[test]
fn packed_weights_are_kept_unless_the_file_says_otherwise() {
    let kept = |more: &str| parse(&with(more)).unwrap().fleet.pack_files;
    let in_folder = |cache: Option<&str>| PackFiles::Kept {
        cache: cache.map(PathBuf::from),
        bytes_min: 32 << 20,
    };
    let homeless = Settings::parse(&with(""), Path::new("/etc"), MACHINE, &|_| None).unwrap();
    assert_eq!(homeless.fleet.pack_files, in_folder(None), "no HOME, no cache");
    assert_eq!(kept(r#""pack_files": { "cache_dir": "c" }"#), in_folder(Some("/etc/box/c")));
    assert_eq!(kept(r#""pack_files": { "enabled": false, "cache_dir": "c" }"#), PackFiles::Off);
    let home = |name: &str| (name == "HOME").then(|| "/home/u".to_owned());
    let settings = Settings::parse(&with(""), Path::new("/etc"), MACHINE, &home).unwrap();
    assert_eq!(settings.fleet.pack_files, in_folder(Some("/home/u/.cache/signalbox")));
}

#[test]
fn prefetch_has_a_switch_of_its_own_and_the_predecessors() {
    let prefetch = |more: &str| parse(&with(more)).unwrap().fleet.lazy_loading.prefetch;
    assert!(prefetch(r#""lazy_loading": {}"#));
    assert!(!prefetch(r#""lazy_loading": { "prefetch": false }"#));
    assert!(!prefetch(r#""speculative_routing": { "enabled": false }"#));
    let both =
        r#""speculative_routing": { "enabled": false }, "lazy_loading": { "prefetch": true }"#;
    assert!(prefetch(both));
}

#[test]
fn the_predecessors_files_work_unchanged() {
    for text in PREDECESSORS {
        let settings = parse(text).unwrap();
        let ids: Vec<_> = settings.fleet.experts.iter().map(|e| e.id.as_str()).collect();
        assert_eq!(
            ids,
            [
                "phi4_fast",
                "mistral_balanced",
                "qwen_coder",
                "gemma3_multimodal",
                "aya_expanse_multilingual"
            ]
        );
        assert_eq!(settings.fleet.experts[0].path, Path::new("/home/elect/models/phi-4-mini"));
        assert_eq!(settings.fleet.experts[0].max_num_seqs, 1024);
        assert_eq!(settings.fleet.lazy_loading.warmup_pool_size, 2);
        assert_eq!(settings.fleet.memory_bytes_max, (MACHINE.memory_bytes as f64 * 0.8) as u64);
        assert_eq!(settings.data.host, "0.0.0.0");
        assert_eq!(settings.admin.host, "127.0.0.1");
        assert_ne!(settings.admin.port, settings.data.port);
    }
}

#[test]
fn every_ignored_key_is_listed_once_with_its_reason() {
    let settings = parse(PREDECESSORS[0]).unwrap();
    let why = |key: &str| {
        let found: Vec<_> = settings.ignored.iter().filter(|i| i.key == key).collect();
        assert_eq!(found.len(), 1, "{key}");
        found[0].why
    };
    assert!(why("experts[].swap_space").contains("CPU"));
    assert!(why("rag.bridge_url").contains("the policy rag-bridge"));
    assert!(why("routing_threshold").contains("route policy"));
    assert!(settings.ignored.iter().all(|i| i.key != "experts[].max_model_len"));
}

#[test]
fn a_small_file_gets_documented_defaults() {
    let settings = parse(&with("")).unwrap();
    assert_eq!(settings.data.to_string(), "127.0.0.1:8080");
    assert_eq!(settings.admin.to_string(), "127.0.0.1:8081");
    assert_eq!(settings.fleet.experts[0].path, Path::new("/etc/box/m"));
    assert_eq!(settings.fleet.experts[0].domain, "general");
    assert_eq!(settings.policies.registry.data_dir, Path::new("/etc/box/signalbox-data"));
    assert_eq!(settings.log_level, "info");
    assert_eq!(settings.server, ServerSettings::default());
}

#[test]
fn unknown_keys_are_named_with_the_nearest() {
    let experts = r#"{ "experts": [ { "expert_id": "a", "model_path": "m", "quantisation": null } ],
        "lazy_loadin": {}, "rag": { "enabeld": true } }"#;
    assert_eq!(
        warnings(experts),
        [
            "line 1: experts[0].quantisation: there is no such key; did you mean `quantization`?",
            "line 2: rag.enabeld: there is no such key; did you mean `enabled`?",
            "line 2: lazy_loadin: there is no such key; did you mean `lazy_loading`?",
        ]
    );
}

#[test]
fn a_mistyped_guard_refuses_the_file() {
    let pipeline = "line 1: policies.pipelin: there is no such key; did you mean `pipeline`?";
    check(r#""policies": { "pipelin": {} }"#, &[pipeline]);
    let access = "line 1: acess: there is no such key; did you mean `access`?";
    check(r#""acess": { "keys": [] }"#, &[access]);
    let open =
        [r#""admin": { "tokne": "0123456789abcdef" }"#, r#""policy": {}"#, r#""ACCESS": {}"#];
    for more in open.into_iter().chain([r#""auth": {}"#, r#""pipeline": {}"#]) {
        assert_eq!(mistakes(&with(more)).len(), 1, "{more}");
    }
    for more in [
        r#""access": {}, "access": {}"#,
        r#""policies": { "pipeline": { "pre": [], "pre": [] } }"#,
        r#""policies": { "on_failure": { "guard": "refuse", "guard": "skip" } }"#,
    ] {
        let said = mistakes(&with(more));
        assert!(said[0].ends_with("is given twice; keep one"), "{more}: {said:?}");
    }
    let [keys] = &mistakes(&with(r#""access": { "kesy": [] }"#))[..] else {
        unreachable!("one mistake")
    };
    assert!(keys.starts_with("line 1: access.kesy: there is no such key; did you mean `keys`?"));
}

#[test]
fn keys_of_the_predecessor_that_are_unknown_or_doubled_refuse_no_file() {
    let text = r#"{ "experts": [ { "expert_id": "a", "model_path": "m", "max_cpu_loras": 4,
        "use_beam_search": false, "num_lookahead_slots": 0, "delay_factor": 0.0 } ],
        "arm_axion_optimizations": { "enabled": true }, "rag": {}, "rag": {} }"#;
    let settings = parse(text).unwrap();
    assert_eq!(settings.ignored.len(), 4, "{:?}", settings.ignored);
    let warnings = warnings(text).join("\n");
    assert!(
        warnings.contains("line 3: arm_axion_optimizations: there is no such key"),
        "{warnings}"
    );
    assert!(
        warnings.contains("line 3: rag: is given twice, and the last one counts"),
        "{warnings}"
    );
}

/// What is said of a file with three experts.
fn check_warning(more: &str, expect: &[&str]) {
    let expert = |id| format!(r#"{{ "expert_id": "{id}", "model_path": "m" }}"#);
    let text = format!(r#"{{ "experts": [{}], {more} }}"#, ["a", "b", "c"].map(expert).join(","));
    assert_eq!(warnings(&text), expect, "{more}");
}

#[test]
fn numbers_that_contradict_each_other_are_named() {
    let of = "line 1: lazy_loading";
    check_warning(
        r#""lazy_loading": { "warmup_pool_size": 9 }"#,
        &[&format!("{of}.warmup_pool_size: is 9, but there are 3 experts; lower it")],
    );
    check_warning(
        r#""lazy_loading": { "warmup_pool_size": 3, "max_loaded_experts": 2 }"#,
        &[&format!(
            "{of}.warmup_pool_size: is 3, but max_loaded_experts allows 2 in memory; lower it"
        )],
    );
    check_warning(
        r#""lazy_loading": { "max_loaded_experts": 5 }"#,
        &[&format!("{of}.max_loaded_experts: is 5, but there are 3 experts; all may be in memory")],
    );
    check_warning(r#""lazy_loading": { "warmup_pool_size": 2, "max_loaded_experts": 2 }"#, &[]);
}

#[test]
fn domains_that_the_router_does_not_know_are_named() {
    let of = |domain: &str, pipeline: &str| {
        let expert = format!(r#"{{ "expert_id": "a", "model_path": "m", "domain": {domain} }}"#);
        format!(r#"{{ "experts": [{expert}], "policies": {{ {pipeline} }} }}"#)
    };
    let text = |pipeline: &str| of(r#""cdoe""#, pipeline);
    assert_eq!(warnings(&of(r#""code""#, "")).len(), 0, "it is taken for coding");
    assert_eq!(warnings(&of(r#""law", "use_cases": ["contracts"]"#, "")).len(), 0);
    let found = warnings(&text(""));
    assert!(found[0].starts_with("line 1: experts[0].domain: \"cdoe\" is none"), "{found:?}");
    assert!(found[0].contains("general, technical, coding, "), "{found:?}");
    assert_eq!(warnings(&text(r#""pipeline": { "route": "route-by-domain" }"#)).len(), 1);
    assert_eq!(warnings(&text(r#""pipeline": { "route": "mine" }"#)).len(), 0);
}

#[test]
fn a_tilde_is_the_user_s_folder() {
    let at = |path: &str| {
        let text =
            format!(r#"{{ "experts": [ {{ "expert_id": "a", "model_path": "{path}" }} ] }}"#);
        parse(&text).unwrap().fleet.experts[0].path.clone()
    };
    assert_eq!(at("~/models/phi"), Path::new("/home/me/models/phi"));
    assert_eq!(at("~"), Path::new("/home/me"));
    assert_eq!(at("~other/phi"), Path::new("/etc/box/~other/phi"));
    let data_dir = parse(&with(r#""policies": { "data_dir": "~/box" }"#)).unwrap();
    assert_eq!(data_dir.policies.registry.data_dir, Path::new("/home/me/box"));
}

#[test]
fn all_mistakes_are_named_at_once() {
    let text = r#"{
        "experts": [
            { "expert_id": "a", "model_path": "m", "quantization": "compressed_tensors" },
            { "expert_id": "a", "model_path": "m", "dtype": "float8" },
            { "expert_id": "auto", "max_num_seqs": 0 }
        ],
        "server_config": { "port": 70000 },
        "limits": { "in_flight_max": 0, "drain_s": 9999, "queue_max": -1 },
        "memory": { "limit": "lots" }
    }"#;
    let found = mistakes(text).join("\n");
    for expect in [
        "line 3: experts[0].quantization: \"compressed_tensors\" is not known (did you mean \
         \"compressed-tensors\"?); use one of awq, ",
        "line 4: experts[1].expert_id: is taken",
        "line 4: experts[1].dtype: \"float8\" is not known",
        "line 5: experts[2].expert_id: \"auto\" means that the router decides",
        "line 5: experts[2].model_path: is missing",
        "line 5: experts[2].max_num_seqs: must be a whole number from 1 to 65536",
        "line 7: server_config.port: must be a whole number from 0 to 65535",
        "line 8: limits.in_flight_max: 0 calls; it must be 1 to 65536",
        "line 8: limits.drain_s: 9999 seconds; it must be 0 to 3600",
        "line 8: limits.queue_max: must be a whole number from 1 to 65536",
        "line 9: memory.limit: must be a size of 1MiB or more",
    ] {
        assert!(found.contains(expect), "{expect}\nis not in\n{found}");
    }
    assert_eq!(found.lines().count(), 11, "{found}");
}

#[test]
fn a_file_without_experts_is_refused() {
    assert_eq!(mistakes("{}"), ["line 1: experts: must list 1 to 64 experts"]);
}

#[test]
fn memory_is_a_share_or_a_size() {
    let bytes = |more: &str| parse(&with(more)).unwrap().fleet.memory_bytes_max;
    assert_eq!(bytes(r#""lazy_loading": { "memory_threshold": 0.5 }"#), 50 << 30);
    assert_eq!(bytes(r#""memory": { "limit": "12GiB" }"#), 12 << 30);
    assert_eq!(bytes(r#""memory": { "limit_bytes": 5000000 }"#), 5_000_000);
    check(
        r#""memory": { "limit_bytes": 5000000, "limit": "5MB" }"#,
        &["line 1: memory.limit: and `limit_bytes` say the same thing; keep one"],
    );
}

#[test]
fn a_kv_cache_takes_what_is_given_to_it_or_to_all() {
    let given = |expert: &str, more: &str| {
        let text = with(more).replacen("\"expert_id\"", &format!("{expert} \"expert_id\""), 1);
        parse(&text).unwrap().fleet.experts[0].kv_bytes
    };
    let all = r#""memory": { "kv": "2GiB" }"#;
    assert_eq!(given("", r#""memory": {}"#), None);
    assert_eq!(given("", all), Some(2 << 30));
    assert_eq!(given(r#""kv_cache_memory": "64MiB","#, all), Some(64 << 20));
    check(
        r#""memory": { "kv": "2 cups" }"#,
        &["line 1: memory.kv: must be a size of 1MiB or more, as in \"12GiB\" or \"800MB\""],
    );
}

#[test]
fn images_are_bounded_and_fetched_from_named_hosts() {
    let more = r#""images": { "per_call_max": 2, "pixels_max": 640000,
        "allowed_hosts": ["example.com", "10.0.0.7:8443"] }"#;
    let server = parse(&with(more)).unwrap().server;
    assert_eq!((server.images.per_call_max, server.images.pixels_max), (2, 640_000));
    assert_eq!(server.image_hosts, ["example.com", "10.0.0.7:8443"]);
    assert!(parse(&with("")).unwrap().server.image_hosts.is_empty(), "nobody is asked by default");
    check(
        r#""images": { "bytes_max": 7 }"#,
        &["line 1: images.bytes_max: 7 bytes; it must be 1024 to 268435456"],
    );
    assert_eq!(
        warnings(&with(r#""images": { "alowed_hosts": [] }"#)),
        ["line 1: images.alowed_hosts: there is no such key; did you mean `allowed_hosts`?"],
    );
    check(
        r#""images": { "allowed_hosts": ["http://example.com/"] }"#,
        &[
            "line 1: images.allowed_hosts: \"http://example.com/\" is no host; write example.com, or \
           example.com:8443 for another port",
        ],
    );
}

#[test]
fn a_budget_holds_the_largest_thing_it_is_for() {
    check(
        r#""limits": { "body_memory_bytes_max": 16777216 }"#,
        &["line 1: limits.body_memory_bytes_max: body_memory_bytes_max can't hold what \
           body_bytes_max allows; make it 19173962 bytes or more, or lower body_bytes_max"],
    );
    let more = r#""limits": { "body_memory_bytes_max": 19173962, "body_stall_s": 3 }"#;
    assert_eq!(parse(&with(more)).unwrap().server.limits.body_memory_bytes_max, 19_173_962);
}

#[test]
fn the_admin_token_comes_from_the_file_or_the_environment() {
    let token = |more: &str| parse(&with(more)).unwrap().server.admin_token;
    assert_eq!(token(""), None);
    assert_eq!(token(r#""admin": { "token": "eight-or-more" }"#), Some("eight-or-more".into()));
    assert_eq!(token(r#""admin": { "token_env": "TOKEN" }"#), Some("correct-horse".into()));
    check(
        r#""admin": { "token_env": "NOPE" }"#,
        &["line 1: admin.token_env: the environment has no variable NOPE"],
    );
    check(
        r#""admin": { "token": "short" }"#,
        &["line 1: admin.token: the admin token must have 8 or more visible ASCII characters"],
    );
}

#[test]
fn the_two_planes_need_two_ports() {
    check(
        r#""admin": { "port": 8080 }"#,
        &["line 1: admin.port: is the port of server_config; the admin plane needs its own"],
    );
}

#[test]
fn a_policy_is_not_named_like_an_expert() {
    check(
        r#""policies": { "components": { "a": "a.wasm" } }"#,
        &["line 1: policies.components: an expert has the name 'a'; give the policy another one"],
    );
}

#[test]
fn limits_of_policies_fit_the_server() {
    let text = with(r#""limits": { "in_flight_max": 100, "body_bytes_max": 67108864 }"#);
    let limits = parse(&text).unwrap().policies.registry.limits;
    assert_eq!((limits.instances, limits.sessions), (100, 400));
    assert_eq!((limits.memory_bytes, limits.memory_total_bytes), (512 << 20, 1 << 30));
}

#[test]
fn policies_are_configured_by_name() {
    let settings = parse(&with(
        r#""policies": {
            "data_dir": "state",
            "pipeline": { "pre": ["redact-pii"], "route": "mine" },
            "components": { "mine": "mine.wasm" },
            "settings": { "token-budget": { "max_tokens": 64, "strict": true } },
            "http_hosts": { "mine": ["example.com", "http://localhost:8001"] },
            "on_failure": { "mine": "policy:round-robin" },
            "limits": { "route_deadline_ms": 20 }
        }"#,
    ))
    .unwrap()
    .policies;
    assert_eq!(settings.registry.data_dir, Path::new("/etc/box/state"));
    assert_eq!(settings.registry.settings["token-budget"]["max_tokens"], "64");
    assert_eq!(settings.registry.limits.route_deadline_ms, 20);
    let hosts: Vec<_> =
        settings.registry.http_hosts["mine"].iter().map(|h| h.to_string()).collect();
    assert_eq!(hosts, ["https://example.com", "http://localhost:8001"]);
    assert_eq!(settings.components, [("mine".into(), PathBuf::from("/etc/box/mine.wasm"))]);
    assert_eq!(settings.pipeline.unwrap().route.as_deref(), Some("mine"));
    check(
        r#""policies": { "on_failure": { "mine": "explode" } }"#,
        &["line 1: policies.on_failure: mine: \"explode\" is no failure mode; use refuse, skip, \
           native or policy:NAME"],
    );
    check(
        r#""policies": { "http_hosts": { "mine": ["http://a/b"], "other": "a" } }"#,
        &[
            "line 1: policies.http_hosts.other: must be a list of strings",
            "line 1: policies.http_hosts: mine: \"http://a/b\" is no host; write example.com, \
             example.com:8443, http://10.0.0.7:8001 or private:http://rag.lan",
        ],
    );
}

#[test]
fn addresses_are_host_and_port() {
    let check = |text, host: &str, port| {
        assert_eq!(Address::parse(text), Ok(Address { host: host.to_owned(), port }), "{text}");
        assert_eq!(Address::parse(text).unwrap().to_string(), text);
    };
    check("127.0.0.1:8081", "127.0.0.1", 8081);
    check("[::1]:0", "::1", 0);
    assert!(Address::parse("8081").is_err());
    assert!(Address::parse("host:http").is_err());
}

#[test]
fn experts_stay_in_memory_as_long_as_the_file_says() {
    let for_all = |lazy: &str| {
        let settings = parse(&with(&format!(r#""lazy_loading": {{ {lazy} }}"#))).unwrap();
        settings.fleet.lazy_loading.auto_unload_after.map(|time| time.as_secs())
    };
    assert_eq!(for_all(""), Some(300));
    assert_eq!(for_all(r#""auto_unload_after_s": 0"#), None);
    assert_eq!(for_all(r#""keep_alive": 0"#), Some(0));
    assert_eq!(for_all(r#""keep_alive": "1h30m""#), Some(5400));
    assert_eq!(for_all(r#""keep_alive": -1"#), None);
    let own = with("").replacen("\"expert_id\"", "\"keep_alive\": -1, \"expert_id\"", 1);
    assert_eq!(parse(&own).unwrap().fleet.experts[0].keep_alive, Some(KeepAlive::Always));
    let both = mistakes(&with(r#""lazy_loading": { "keep_alive": 1, "auto_unload_after_s": 1 }"#));
    assert!(both[0].contains("keep one"), "{both:?}");
    let wrong = mistakes(&with(r#""lazy_loading": { "keep_alive": "soon" }"#));
    assert!(wrong[0].contains("or a time like"), "{wrong:?}");
}
