// deploy/k8s: renders, names only what exists, and its parts agree with each other.
import test from 'node:test'
import assert from 'node:assert/strict'
import { render, knobsOf, help } from './lib.mjs'

const KINDS = { Deployment: ['sluice-ingest', 'sluice-edge'], StatefulSet: ['sluice-router'] }

const find = (objects, kind, name) => objects.find((o) => o.kind === kind && o.metadata.name === name)
const workloads = (objects) => objects.filter((o) => o.spec?.template)
const containerOf = (workload) => workload.spec.template.spec.containers[0]

/** Environment of a workload's container: name → value, or the object that says where the value comes from. */
function environment(objects, workload) {
  const env = {}
  for (const { configMapRef } of containerOf(workload).envFrom ?? []) {
    const map = find(objects, 'ConfigMap', configMapRef.name)
    assert.ok(map, `there is no ConfigMap ${configMapRef.name}`)
    Object.assign(env, map.data)
  }
  for (const { name, value, valueFrom } of containerOf(workload).env ?? []) env[name] = value ?? valueFrom
  return env
}

/** How a variant's bus is spoken. */
const schemeOf = (directory) => (directory === 'overlays/tls' ? 'tls+tcp' : 'tcp')

for (const directory of ['base', 'overlays/two-shards', 'overlays/tls']) {
  test(`${directory} renders with every part`, () => {
    const objects = render(directory)
    for (const [kind, names] of Object.entries(KINDS))
      for (const name of names) assert.ok(find(objects, kind, name), `${kind} ${name}`)
    for (const name of ['sluice-ingest', 'sluice-router', 'sluice-edge']) assert.ok(find(objects, 'Service', name), `Service ${name}`)
    assert.equal(objects.filter((o) => o.kind === 'Secret').length, 1)
  })

  test(`${directory} names only variables that the services know`, () => {
    const objects = render(directory)
    for (const workload of workloads(objects)) {
      const service = containerOf(workload).name
      const known = knobsOf(service)
      const text = help(service)
      for (const name of Object.keys(environment(objects, workload))) {
        assert.ok(known.has(name), `${service} does not know ${name}`)
        assert.ok(text.includes(name), `sluice-${service} --help does not mention ${name}`)
      }
    }
  })

  test(`${directory} takes secrets from the Secret alone`, () => {
    const objects = render(directory)
    const secret = objects.find((o) => o.kind === 'Secret')
    for (const workload of workloads(objects)) {
      for (const [name, value] of Object.entries(environment(objects, workload))) {
        if (!['DATABASE_URL', 'SLUICE_SECRET'].includes(name)) continue
        assert.equal(value.secretKeyRef?.name, secret.metadata.name, `${name} of ${workload.metadata.name}`)
        assert.ok(name in secret.data, `${name} is not in the Secret`)
      }
    }
    assert.equal(environment(objects, find(objects, 'Deployment', 'sluice-edge')).DATABASE_URL, undefined)
  })

  test(`${directory} has as many shards everywhere`, () => {
    const objects = render(directory)
    const router = find(objects, 'StatefulSet', 'sluice-router')
    const shards = router.spec.replicas
    const ingest = environment(objects, find(objects, 'Deployment', 'sluice-ingest'))
    const edge = environment(objects, find(objects, 'Deployment', 'sluice-edge'))
    assert.equal(ingest.SLUICE_ROUTERS, String(shards))
    for (const [list, port] of [['SLUICE_ROUTER_NOTICES_URLS', 7003], ['SLUICE_ROUTER_FETCH_URLS', 7004]]) {
      const expected = Array.from({ length: shards }, (_, i) => `${schemeOf(directory)}://sluice-router-${i}.${router.spec.serviceName}:${port}`)
      assert.equal(edge[list], expected.join(','))
    }
    assert.equal(
      environment(objects, router).SLUICE_ROUTER_INDEX.fieldRef.fieldPath,
      "metadata.labels['apps.kubernetes.io/pod-index']",
    )
  })

  test(`${directory} dials ports that somebody listens on`, () => {
    const objects = render(directory)
    for (const workload of workloads(objects)) {
      for (const [name, value] of Object.entries(environment(objects, workload))) {
        if (!/_URLS$/.test(name)) continue
        for (const url of value.split(',')) {
          const [, scheme, host, port] = /^([a-z+]+):\/\/([^:]+):(\d+)$/.exec(url)
          assert.equal(scheme, schemeOf(directory))
          const service = find(objects, 'Service', host.split('.').at(-1))
          assert.ok(service, `${url}: no such Service`)
          const { targetPort } = service.spec.ports.find((p) => p.port === Number(port))
          const target = workloads(objects).find((w) => w.spec.template.metadata.labels['app.kubernetes.io/name'] === service.spec.selector['app.kubernetes.io/name'])
          const { containerPort } = containerOf(target).ports.find((p) => p.name === targetPort)
          assert.ok(Object.values(environment(objects, target)).includes(`${scheme}://0.0.0.0:${containerPort}`), `${url}: nobody listens`)
        }
      }
    }
  })

  test(`${directory} mounts the files that it names`, () => {
    const objects = render(directory)
    for (const workload of workloads(objects)) {
      const mounts = containerOf(workload).volumeMounts ?? []
      const files = Object.entries(environment(objects, workload)).filter(([name]) => /^SLUICE_BUS_.*_FILE$/.test(name))
      assert.equal(files.length, schemeOf(directory) === 'tcp' ? 0 : 3)
      for (const [name, path] of files) {
        const mount = mounts.find((m) => path.startsWith(`${m.mountPath}/`))
        assert.ok(mount, `${name}: nothing is mounted at ${path}`)
        assert.ok(workload.spec.template.spec.volumes.some((v) => v.name === mount.name && v.secret), `${name}: not from a Secret`)
      }
    }
  })

  test(`${directory} runs without privileges and is probed`, () => {
    for (const workload of workloads(render(directory))) {
      const { securityContext: pod } = workload.spec.template.spec
      const container = containerOf(workload)
      assert.equal(pod.runAsNonRoot, true)
      assert.ok(pod.runAsUser > 0)
      assert.deepEqual(container.securityContext, {
        allowPrivilegeEscalation: false,
        readOnlyRootFilesystem: true,
        capabilities: { drop: ['ALL'] },
      })
      assert.equal(container.livenessProbe.httpGet.path, '/healthz')
      assert.equal(container.readinessProbe.httpGet.path, '/readyz')
      assert.ok(container.resources.requests.cpu && container.resources.limits.memory)
      assert.ok(workload.spec.template.spec.terminationGracePeriodSeconds === undefined || workload.spec.template.spec.terminationGracePeriodSeconds > 30)
    }
  })
}
