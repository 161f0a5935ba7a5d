{{- define "strongroom.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 50 | trimSuffix "-" -}}
{{- end -}}

{{- define "strongroom.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" -}}
{{- else if contains (include "strongroom.name" .) .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "strongroom.name" .) | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* Of all objects. */}}
{{- define "strongroom.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
app.kubernetes.io/version: {{ .Values.image.tag | default .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{ include "strongroom.selector" . }}
{{- end -}}

{{/* What never changes, and is in every pod. */}}
{{- define "strongroom.selector" -}}
app.kubernetes.io/name: {{ include "strongroom.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "strongroom.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "strongroom.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "strongroom.image" -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" .Values.image.repository (.Values.image.tag | default .Chart.AppVersion) -}}
{{- end -}}
{{- end -}}

{{/* Settings. Environment before everything else, so that each pod shows what is in force. */}}
{{- define "strongroom.env" -}}
- name: STRONGROOM_LISTEN
  value: 0.0.0.0:8080
- name: STRONGROOM_DATA_DIR
  value: /data
- name: STRONGROOM_WORKER
  value: external
- name: STRONGROOM_MIGRATE
  value: {{ ternary "manual" "auto" .Values.migrate.enabled }}
- name: STRONGROOM_DRAIN_DELAY
  value: {{ .Values.api.drainDelay | quote }}
{{- if .Values.metrics.enabled }}
- name: STRONGROOM_METRICS_LISTEN
  value: {{ printf "0.0.0.0:%v" .Values.metrics.port | quote }}
{{- end }}
{{- range $name, $value := .Values.settings }}
{{- if ne (toString $value) "" }}
- name: {{ $name }}
  value: {{ toString $value | quote }}
{{- end }}
{{- end }}
{{- range $name, $key := .Values.secret.keys }}
{{- if $key }}
- name: {{ $name }}_FILE
  value: /run/secrets/strongroom/{{ $key }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "strongroom.mounts" -}}
- name: secrets
  mountPath: /run/secrets/strongroom
  readOnly: true
- name: data
  mountPath: /data
- name: tmp
  mountPath: /tmp
{{- end -}}

{{- define "strongroom.volumes" -}}
- name: secrets
  secret:
    secretName: {{ .Values.secret.existing }}
    defaultMode: 0440
    items:
      {{- range $name, $key := .Values.secret.keys }}
      {{- if $key }}
      - key: {{ $key }}
        path: {{ $key }}
      {{- end }}
      {{- end }}
- name: data
  {{- if .Values.data.existingClaim }}
  persistentVolumeClaim:
    claimName: {{ .Values.data.existingClaim }}
  {{- else }}
  emptyDir:
    sizeLimit: 256Mi
  {{- end }}
- name: tmp
  emptyDir:
    sizeLimit: 64Mi
{{- end -}}

{{/* Of every pod. */}}
{{- define "strongroom.pod" -}}
automountServiceAccountToken: false
# The variables that Kubernetes makes of a Service named strongroom would be unknown settings and stop the start.
enableServiceLinks: false
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile:
    type: RuntimeDefault
{{- end -}}

{{/* Where the pods of a Deployment may run. Called with its values and the labels that select its pods. */}}
{{- define "strongroom.placement" -}}
{{- with .values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
topologySpreadConstraints:
  - maxSkew: 1
    topologyKey: kubernetes.io/hostname
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- .selector | nindent 8 }}
{{- end -}}

{{- define "strongroom.container" -}}
image: {{ include "strongroom.image" . | quote }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities:
    drop: [ALL]
env:
  {{- include "strongroom.env" . | nindent 2 }}
volumeMounts:
  {{- include "strongroom.mounts" . | nindent 2 }}
{{- end -}}
