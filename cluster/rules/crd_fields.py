"""The fields of a RayService that this project writes, where its CRD is not at hand.

Schemas in the form of a CRD's, but much smaller: pods are left to the schemas of Kubernetes.
"""

from typing import Any

Node = dict[str, Any]


def _object(*required: str, **properties: Node) -> Node:
    return {"type": "object", "properties": properties, "required": list(required)}


def _of(item: Node) -> Node:
    return {"type": "object", "additionalProperties": item}


def _list(item: Node) -> Node:
    return {"type": "array", "items": item}


_TEXT: Node = {"type": "string"}
_FLAG: Node = {"type": "boolean"}
_COUNT: Node = {"type": "integer", "format": "int32"}
_ANY: Node = {"type": "object"}

METADATA = _object(
    "name",
    name={"type": "string", "minLength": 1},
    namespace=_TEXT,
    labels=_of(_TEXT),
    annotations=_of(_TEXT),
    finalizers=_list(_TEXT),
)

_TEMPLATE = _object(
    "spec",
    metadata=_object(labels=_of(_TEXT), annotations=_of(_TEXT)),
    spec={
        **_object("containers", containers={"type": "array", "items": _ANY, "minItems": 1}),
        "x-kubernetes-preserve-unknown-fields": True,
    },
)
_GROUP = {
    "labels": _of(_TEXT),
    "rayStartParams": _of(_TEXT),
    "resources": _of(_TEXT),
    "template": _TEMPLATE,
}
_HEAD = _object("template", **_GROUP, headService=_ANY, serviceType=_TEXT)
_WORKERS = _object(
    "groupName",
    "template",
    **_GROUP,
    groupName=_TEXT,
    replicas=_COUNT,
    minReplicas=_COUNT,
    maxReplicas=_COUNT,
    numOfHosts=_COUNT,
    idleTimeoutSeconds=_COUNT,
    priority=_COUNT,
    suspend=_FLAG,
    scaleStrategy=_object(workersToDelete=_list(_TEXT)),
)
_AUTOSCALER = _object(
    version={"type": "string", "enum": ["v1", "v2"]},
    upscalingMode={"type": "string", "enum": ["Default", "Aggressive", "Conservative"]},
    idleTimeoutSeconds=_COUNT,
    image=_TEXT,
    imagePullPolicy=_TEXT,
    resources=_ANY,
    securityContext=_ANY,
    env=_list(_ANY),
    envFrom=_list(_ANY),
    volumeMounts=_list(_ANY),
)
_CLUSTER = _object(
    "headGroupSpec",
    rayVersion=_TEXT,
    enableInTreeAutoscaling=_FLAG,
    suspend=_FLAG,
    autoscalerOptions=_AUTOSCALER,
    authOptions=_object(
        mode={"type": "string", "enum": ["disabled", "token"]},
        secretName=_TEXT,
        enableK8sTokenAuth=_FLAG,
    ),
    gcsFaultToleranceOptions=_object(
        backend=_TEXT,
        redisAddress=_TEXT,
        redisUsername=_ANY,
        redisPassword=_ANY,
        externalStorageNamespace=_TEXT,
        storage=_ANY,
    ),
    headServiceAnnotations=_of(_TEXT),
    headGroupSpec=_HEAD,
    workerGroupSpecs=_list(_WORKERS),
)

RAY_SERVICE = _object(
    apiVersion=_TEXT,
    kind=_TEXT,
    spec=_object(
        "rayClusterConfig",
        serveConfigV2=_TEXT,
        rayClusterConfig=_CLUSTER,
        serveService=_ANY,
        excludeHeadPodFromServeSvc=_FLAG,
        rayClusterDeletionDelaySeconds=_COUNT,
        suspend=_FLAG,
        managedBy=_TEXT,
        upgradeStrategy=_object(
            type=_TEXT,
            clusterUpgradeOptions=_object(
                maxSurgePercent=_COUNT,
                stepSizePercent=_COUNT,
                intervalSeconds=_COUNT,
                gatewayClassName=_TEXT,
            ),
        ),
    ),
)
