//! The least that wasmtime needs to make the same call: generated bindings, a minimal host, the
//! same engine configuration. No deadline, no counters, no checks of what comes back.

#![allow(unreachable_pub, reason = "the generated bindings re-export the host's types")]

use signalbox_policy::{Call, ExpertView};
use wasmtime::{
    Config, Engine, InstanceAllocationStrategy, PoolingAllocationConfig, Store,
    component::{Component, HasSelf, InstancePre, Linker, Resource, ResourceTable},
};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

mod bindings {
    #![allow(clippy::all, missing_docs, reason = "generated code")]
    wasmtime::component::bindgen!({
        path: "../../wit",
        world: "route-policy",
        imports: { "signalbox:policy/tokens": async | trappable, default: trappable },
        exports: { default: async },
        with: {
            "signalbox:policy/types.request": signalbox_policy::Call,
            "signalbox:policy/types.expert": signalbox_policy::ExpertView,
            "signalbox:policy/types.edits": super::Edits,
            "signalbox:policy/types.ending": super::Ending,
        },
    });
}

use bindings::{
    RoutePolicyPre,
    exports::signalbox::policy::route::Decision,
    signalbox::policy::{annotations, experts, tokens, types},
    wasi::{config::store, logging::logging},
};

type Result<T> = wasmtime::Result<T>;

struct Host {
    table: ResourceTable,
    wasi: WasiCtx,
}

/// What the router imports of the contract.
fn lend(linker: &mut Linker<Host>) -> Result<()> {
    types::add_to_linker::<_, HasSelf<Host>>(linker, |host| host)?;
    experts::add_to_linker::<_, HasSelf<Host>>(linker, |host| host)?;
    tokens::add_to_linker::<_, HasSelf<Host>>(linker, |host| host)?;
    annotations::add_to_linker::<_, HasSelf<Host>>(linker, |host| host)?;
    store::add_to_linker::<_, HasSelf<Host>>(linker, |host| host)?;
    logging::add_to_linker::<_, HasSelf<Host>>(linker, |host| host)
}

impl WasiView for Host {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

/// A component ready to be called.
pub(crate) struct Bare {
    engine: Engine,
    policy: RoutePolicyPre<Host>,
    call: Call,
    menu: Vec<ExpertView>,
}

impl Bare {
    pub(crate) fn new(component: &[u8], call: &Call, menu: &[ExpertView]) -> Bare {
        let engine = Engine::new(&config()).expect("an engine");
        let mut linker = Linker::new(&engine);
        wasmtime_wasi::p2::add_to_linker_async(&mut linker).expect("wasi");
        lend(&mut linker).expect("imports");
        let component = Component::from_binary(&engine, component).expect("a component");
        let instance: InstancePre<Host> = linker.instantiate_pre(&component).expect("imports");
        let policy = RoutePolicyPre::new(instance).expect("a router");
        Bare { engine, policy, call: call.clone(), menu: menu.to_vec() }
    }

    pub(crate) async fn route(&self) -> Decision {
        let host = Host { table: ResourceTable::new(), wasi: WasiCtx::builder().build() };
        let mut store = Store::new(&self.engine, host);
        store.set_epoch_deadline(1);
        let policy = self.policy.instantiate_async(&mut store).await.expect("an instance");
        let table = &mut store.data_mut().table;
        let request = table.push(self.call.clone()).expect("room");
        let experts: Vec<_> =
            self.menu.iter().map(|expert| table.push(expert.clone()).expect("room")).collect();
        let route = policy.signalbox_policy_route();
        route
            .call_choose(&mut store, request, &experts)
            .await
            .expect("an answer")
            .expect("a choice")
    }
}

/// As in `src/engine.rs`.
fn config() -> Config {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(256)
        .total_stacks(256)
        .total_core_instances(4096)
        .total_tables(2048)
        .total_memories(512)
        .max_core_instances_per_component(16)
        .max_tables_per_component(8)
        .max_memories_per_component(2)
        .max_memory_size(64 << 20)
        .table_elements(100_000)
        .linear_memory_keep_resident(512 << 10)
        .table_keep_resident(128 << 10);
    let mut config = Config::new();
    config
        .epoch_interruption(true)
        .concurrency_support(false)
        .memory_reservation(64 << 20)
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    config
}

impl types::Host for Host {}

impl types::HostRequest for Host {
    fn id(&mut self, this: Resource<Call>) -> Result<String> {
        Ok(self.table.get(&this)?.id.clone())
    }

    fn model(&mut self, this: Resource<Call>) -> Result<Option<String>> {
        Ok(self.table.get(&this)?.model.clone())
    }

    fn message_count(&mut self, this: Resource<Call>) -> Result<u32> {
        Ok(self.table.get(&this)?.messages.len() as u32)
    }

    fn message(&mut self, this: Resource<Call>, index: u32) -> Result<Option<types::Message>> {
        Ok(self.table.get(&this)?.messages.get(index as usize).map(message))
    }

    fn messages(&mut self, this: Resource<Call>) -> Result<Vec<types::Message>> {
        Ok(self.table.get(&this)?.messages.iter().map(message).collect())
    }

    fn last_user_text(&mut self, this: Resource<Call>) -> Result<String> {
        let newest = self.table.get(&this)?.messages.iter().rev().find(|turn| turn.role == "user");
        Ok(newest.map(|turn| turn.content.clone()).unwrap_or_default())
    }

    fn max_tokens(&mut self, this: Resource<Call>) -> Result<Option<u32>> {
        Ok(self.table.get(&this)?.max_tokens)
    }

    fn temperature(&mut self, this: Resource<Call>) -> Result<Option<f32>> {
        Ok(self.table.get(&this)?.temperature)
    }

    fn streaming(&mut self, this: Resource<Call>) -> Result<bool> {
        Ok(self.table.get(&this)?.streaming)
    }

    fn hints(&mut self, this: Resource<Call>) -> Result<Vec<(String, String)>> {
        Ok(self.table.get(&this)?.hints.clone())
    }

    fn tools(&mut self, this: Resource<Call>) -> Result<Vec<types::Tool>> {
        let tool = |tool: &signalbox_policy::Tool| types::Tool {
            name: tool.name.clone(),
            description: tool.description.clone(),
            parameters: tool.parameters.clone(),
        };
        Ok(self.table.get(&this)?.parameters.tools.iter().map(tool).collect())
    }

    fn tool_choice(&mut self, _: Resource<Call>) -> Result<types::ToolChoice> {
        Ok(types::ToolChoice::Auto)
    }

    fn response_format(&mut self, _: Resource<Call>) -> Result<types::ResponseFormat> {
        Ok(types::ResponseFormat::Text)
    }

    fn top_p(&mut self, this: Resource<Call>) -> Result<Option<f32>> {
        Ok(self.table.get(&this)?.parameters.top_p)
    }

    fn seed(&mut self, this: Resource<Call>) -> Result<Option<u64>> {
        Ok(self.table.get(&this)?.parameters.seed)
    }

    fn stop(&mut self, this: Resource<Call>) -> Result<Vec<String>> {
        Ok(self.table.get(&this)?.parameters.stop.clone())
    }

    fn logprobs(&mut self, this: Resource<Call>) -> Result<Option<u32>> {
        Ok(self.table.get(&this)?.parameters.logprobs)
    }

    fn caller(&mut self, this: Resource<Call>) -> Result<String> {
        Ok(self.table.get(&this)?.sender.caller.clone())
    }

    fn session(&mut self, this: Resource<Call>) -> Result<Option<String>> {
        Ok(self.table.get(&this)?.sender.session.clone())
    }

    fn header(&mut self, _: Resource<Call>, _: String) -> Result<Option<String>> {
        Ok(None)
    }

    fn previous_expert(&mut self, this: Resource<Call>) -> Result<Option<String>> {
        Ok(self.table.get(&this)?.previous_expert.clone())
    }

    fn tool_loop_open(&mut self, _: Resource<Call>) -> Result<bool> {
        Ok(false)
    }

    fn time_left_ms(&mut self, _: Resource<Call>) -> Result<u32> {
        Ok(500)
    }

    fn drop(&mut self, this: Resource<Call>) -> Result<()> {
        self.table.delete(this)?;
        Ok(())
    }
}

fn message(turn: &signalbox_policy::Message) -> types::Message {
    types::Message { role: turn.role.clone(), content: turn.content.clone() }
}

impl types::HostExpert for Host {
    fn id(&mut self, this: Resource<ExpertView>) -> Result<String> {
        Ok(self.table.get(&this)?.id.clone())
    }

    fn domain(&mut self, this: Resource<ExpertView>) -> Result<String> {
        Ok(self.table.get(&this)?.domain.clone())
    }

    fn description(&mut self, this: Resource<ExpertView>) -> Result<String> {
        Ok(self.table.get(&this)?.description.clone())
    }

    fn priority(&mut self, this: Resource<ExpertView>) -> Result<i32> {
        Ok(self.table.get(&this)?.priority)
    }

    fn capabilities(&mut self, this: Resource<ExpertView>) -> Result<Vec<String>> {
        Ok(self.table.get(&this)?.capabilities.clone())
    }

    fn context_length(&mut self, this: Resource<ExpertView>) -> Result<u32> {
        Ok(self.table.get(&this)?.context_length)
    }

    fn state(&mut self, _: Resource<ExpertView>) -> Result<types::ExpertState> {
        Ok(types::ExpertState::Resident)
    }

    fn resident_bytes(&mut self, this: Resource<ExpertView>) -> Result<u64> {
        Ok(self.table.get(&this)?.resident_bytes)
    }

    fn queue_depth(&mut self, this: Resource<ExpertView>) -> Result<u32> {
        Ok(self.table.get(&this)?.queue_depth)
    }

    fn estimated_wait_ms(&mut self, this: Resource<ExpertView>) -> Result<Option<u32>> {
        Ok(self.table.get(&this)?.estimated_wait_ms)
    }

    fn estimated_load_ms(&mut self, this: Resource<ExpertView>) -> Result<Option<u32>> {
        Ok(self.table.get(&this)?.estimated_load_ms)
    }

    fn tokens_per_second(&mut self, this: Resource<ExpertView>) -> Result<Option<f32>> {
        Ok(self.table.get(&this)?.tokens_per_second)
    }

    fn cached_tokens(&mut self, _: Resource<ExpertView>) -> Result<Option<u32>> {
        Ok(None)
    }

    fn drop(&mut self, this: Resource<ExpertView>) -> Result<()> {
        self.table.delete(this)?;
        Ok(())
    }
}

/// A router edits nothing.
pub struct Edits;

impl types::HostEdits for Host {
    fn set_content(&mut self, _: Resource<Edits>, _: u32, _: String) -> Result<()> {
        Ok(())
    }

    fn insert_message(&mut self, _: Resource<Edits>, _: u32, _: types::Message) -> Result<()> {
        Ok(())
    }

    fn set_max_tokens(&mut self, _: Resource<Edits>, _: u32) -> Result<()> {
        Ok(())
    }

    fn set_temperature(&mut self, _: Resource<Edits>, _: f32) -> Result<()> {
        Ok(())
    }

    fn add_hint(&mut self, _: Resource<Edits>, _: String, _: String) -> Result<()> {
        Ok(())
    }

    fn keep_tools(&mut self, _: Resource<Edits>, _: Vec<String>) -> Result<()> {
        Ok(())
    }

    fn set_tool_choice(&mut self, _: Resource<Edits>, _: types::ToolChoice) -> Result<()> {
        Ok(())
    }

    fn set_response_format(&mut self, _: Resource<Edits>, _: types::ResponseFormat) -> Result<()> {
        Ok(())
    }

    fn set_top_p(&mut self, _: Resource<Edits>, _: f32) -> Result<()> {
        Ok(())
    }

    fn set_seed(&mut self, _: Resource<Edits>, _: u64) -> Result<()> {
        Ok(())
    }

    fn set_stop(&mut self, _: Resource<Edits>, _: Vec<String>) -> Result<()> {
        Ok(())
    }

    fn drop(&mut self, _: Resource<Edits>) -> Result<()> {
        Ok(())
    }
}

/// A router sees no end of a reply.
pub struct Ending;

impl types::HostEnding for Host {
    fn reason(&mut self, _: Resource<Ending>) -> Result<types::FinishReason> {
        Ok(types::FinishReason::Stop)
    }

    fn prompt_tokens(&mut self, _: Resource<Ending>) -> Result<Option<u32>> {
        Ok(None)
    }

    fn cached_tokens(&mut self, _: Resource<Ending>) -> Result<Option<u32>> {
        Ok(None)
    }

    fn completion_tokens(&mut self, _: Resource<Ending>) -> Result<Option<u32>> {
        Ok(None)
    }

    fn drop(&mut self, _: Resource<Ending>) -> Result<()> {
        Ok(())
    }
}

impl annotations::Host for Host {
    fn annotate(&mut self, _: String, _: String) -> Result<()> {
        Ok(())
    }
}

impl experts::Host for Host {
    fn menu(&mut self) -> Result<Vec<Resource<ExpertView>>> {
        Ok(Vec::new())
    }
}

impl tokens::Host for Host {
    async fn count(
        &mut self,
        text: String,
        _: Option<String>,
    ) -> Result<std::result::Result<u32, tokens::Error>> {
        Ok(Ok(text.len() as u32 / 4))
    }
}

impl logging::Host for Host {
    fn log(&mut self, _: logging::Level, _: String, _: String) -> Result<()> {
        Ok(())
    }
}

impl store::Host for Host {
    fn get(&mut self, _: String) -> Result<std::result::Result<Option<String>, store::Error>> {
        Ok(Ok(None))
    }

    fn get_all(&mut self) -> Result<std::result::Result<Vec<(String, String)>, store::Error>> {
        Ok(Ok(Vec::new()))
    }
}
