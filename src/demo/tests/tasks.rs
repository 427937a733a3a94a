//! Calls that become tasks, as 2025-11-25 has them.

#![allow(clippy::indexing_slicing, reason = "a test may panic")]

use super::*;

impl Client {
    /// Starts the tool `job` as a task, and gives the task.
    async fn job(&mut self, arguments: Value) -> Value {
        let params = json!({"name": "job", "arguments": arguments, "task": {"ttl": 1000}});
        self.request("tools/call", params).await["result"]["task"].clone()
    }
}

fn id(task: &Value) -> Value {
    json!({"taskId": task["taskId"]})
}

#[tokio::test]
async fn a_task_gives_its_result_when_it_is_done() {
    converse(async |c| {
        let task = c.job(json!({"steps": 2, "step_ms": 1})).await;
        assert_eq!((&task["status"], &task["ttl"]), (&json!("working"), &json!(1000)), "{task}");
        assert!(task["createdAt"].as_str().unwrap().ends_with('Z'), "{task}");
        let result = c.request("tasks/result", id(&task)).await;
        assert_eq!(said(&result), "Did 2 steps.");
        assert_eq!(result["result"]["_meta"]["io.modelcontextprotocol/related-task"], id(&task));
        let after = c.request("tasks/get", id(&task)).await["result"].clone();
        assert_eq!((&after["status"], &after["taskId"]), (&json!("completed"), &task["taskId"]));
        assert_eq!(code(&c.request("tasks/cancel", id(&task)).await), -32602);
    })
    .await;
}

#[tokio::test]
async fn a_cancelled_task_has_no_result_and_says_so() {
    converse(async |c| {
        let task = c.job(json!({"steps": 1, "step_ms": FOR_EVER})).await;
        c.send("tasks/result", Some(json!("waiting")), id(&task)).await;
        assert_eq!(c.request("tasks/get", id(&task)).await["result"]["status"], "working");
        assert_eq!(c.request("tasks/cancel", id(&task)).await["result"]["status"], "cancelled");
        let waited = c.next().await;
        assert_eq!((&waited["id"], code(&waited)), (&json!("waiting"), -32602));
        assert_eq!(code(&c.request("tasks/result", id(&task)).await), -32602);
        for method in ["tasks/get", "tasks/result", "tasks/cancel"] {
            assert_eq!(code(&c.request(method, json!({"taskId": "task-99"})).await), -32602);
        }
    })
    .await;
}

#[tokio::test]
async fn progress_of_a_task_goes_on_after_the_answer_to_the_call() {
    converse(async |c| {
        let arguments = json!({"steps": 2, "step_ms": 1});
        let params = json!({"name": "job", "arguments": arguments, "task": {}, "_meta": {"progressToken": "t"}});
        let task = c.request("tools/call", params).await["result"]["task"].clone();
        for step in 1..=2 {
            assert_eq!(c.next().await["params"]["progress"], step);
        }
        assert_eq!(said(&c.request("tasks/result", id(&task)).await), "Did 2 steps.");
    })
    .await;
}

#[tokio::test]
async fn job_runs_as_a_task_only_and_no_other_tool_does() {
    converse(async |c| {
        let list = c.request("tools/list", json!({})).await;
        let job = list["result"]["tools"].as_array().unwrap().iter().find(|tool| tool["name"] == "job").unwrap();
        assert_eq!(job["execution"]["taskSupport"], "required");
        assert_eq!(code(&c.call("job", json!({})).await), -32601);
        let params = json!({"name": "pid", "arguments": {}, "task": {}});
        assert_eq!(code(&c.request("tools/call", params).await), -32601);
    })
    .await;
}

#[tokio::test]
async fn earlier_revisions_have_no_tasks() {
    talk(ToolSet::Plain, async |c: &mut Client| {
        let hello = c.open("2025-06-18", json!({})).await;
        assert_eq!(hello["result"]["capabilities"].get("tasks"), None);
        assert!(!names(&c.request("tools/list", json!({})).await).contains(&"job".to_owned()));
        let params = json!({"name": "job", "arguments": {}, "task": {}});
        assert_eq!(code(&c.request("tools/call", params).await), -32602);
        let params = json!({"name": "echo", "arguments": {"message": "x"}, "task": {}});
        assert_eq!(said(&c.request("tools/call", params).await), "x", "an unknown param is ignored");
    })
    .await;
    talk(ToolSet::Plain, async |c: &mut Client| {
        let hello = c.open("2025-11-25", json!({})).await;
        assert_eq!(hello["result"]["capabilities"]["tasks"]["requests"]["tools"]["call"], json!({}));
    })
    .await;
}

#[tokio::test]
async fn too_many_tasks_are_refused_until_one_is_over() {
    converse(async |c| {
        let for_ever = json!({"steps": 1, "step_ms": FOR_EVER});
        let first = c.job(for_ever.clone()).await;
        for _ in 1..64 {
            c.job(for_ever.clone()).await;
        }
        let params = json!({"name": "job", "arguments": for_ever, "task": {}});
        assert_eq!(code(&c.request("tools/call", params.clone()).await), -32000);
        c.request("tasks/cancel", id(&first)).await;
        assert_eq!(c.request("tools/call", params).await["result"]["task"]["taskId"], "task-65");
        assert_eq!(code(&c.request("tasks/get", id(&first)).await), -32602, "it made room");
    })
    .await;
}
