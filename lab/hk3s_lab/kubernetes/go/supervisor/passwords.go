package supervisor

import (
	"context"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/klog/v2"
)

const (
	passwordType   corev1.SecretType = "k3s.cattle.io/node-password"
	passwordSuffix                   = ".node-password.k3s"
	// An agent gets its certificates well before its Node appears.
	orphanAge = 10 * time.Minute
)

// Passwords keeps the Secrets that bind a node's name to the machine that first joined with it.
//
// A Secret is made at the first join; once the Node appears, the Node becomes its owner, so that
// the garbage collector takes it along; one that is ten minutes old without a Node is deleted
// (k3s pkg/nodepassword/controller.go).
type Passwords struct {
	client  kubernetes.Interface
	nodes   cache.SharedIndexInformer
	secrets cache.SharedIndexInformer
	queue   workqueue.TypedRateLimitingInterface[string]
	ready   atomic.Bool
}

// NewPasswords watches nodes through shared, whose start is the caller's.
func NewPasswords(client kubernetes.Interface, shared informers.SharedInformerFactory) *Passwords {
	typed := informers.NewSharedInformerFactoryWithOptions(client, 0,
		informers.WithNamespace(metav1.NamespaceSystem),
		informers.WithTweakListOptions(func(options *metav1.ListOptions) {
			options.FieldSelector = fields.OneTermEqualSelector("type", string(passwordType)).String()
		}))
	return &Passwords{
		client:  client,
		nodes:   shared.Core().V1().Nodes().Informer(),
		secrets: typed.Core().V1().Secrets().Informer(),
		queue:   workqueue.NewTypedRateLimitingQueue(workqueue.DefaultTypedControllerRateLimiter[string]()),
	}
}

// Ready tells whether passwords can be checked yet.
func (p *Passwords) Ready() bool { return p.ready.Load() }

// Ensure returns nil when password is the node's, or when the node had none and it was stored.
func (p *Passwords) Ensure(ctx context.Context, node, password string) error {
	secrets := p.client.CoreV1().Secrets(metav1.NamespaceSystem)
	verify := func() error {
		secret, err := secrets.Get(ctx, node+passwordSuffix, metav1.GetOptions{})
		if err != nil {
			return err
		}
		return checkPassword(string(secret.Data["hash"]), password)
	}
	if err := verify(); !apierrors.IsNotFound(err) {
		return err
	}
	hash, err := hashPassword(password)
	if err != nil {
		return err
	}
	immutable := true
	_, err = secrets.Create(ctx, &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: node + passwordSuffix, Namespace: metav1.NamespaceSystem},
		Type:       passwordType,
		Immutable:  &immutable,
		Data:       map[string][]byte{"hash": []byte(hash)},
	}, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		return verify()
	}
	return err
}

// Run keeps owners and orphans in order until ctx ends.
func (p *Passwords) Run(ctx context.Context) {
	defer p.queue.ShutDown()
	enqueue := cache.ResourceEventHandlerFuncs{AddFunc: func(object any) {
		if key, err := cache.MetaNamespaceKeyFunc(object); err == nil {
			name := key[strings.LastIndex(key, "/")+1:]
			p.queue.Add(strings.TrimSuffix(name, passwordSuffix))
		}
	}}
	for _, informer := range []cache.SharedIndexInformer{p.nodes, p.secrets} {
		if _, err := informer.AddEventHandler(enqueue); err != nil {
			klog.ErrorS(err, "Node passwords are not watched")
			return
		}
	}
	go p.secrets.RunWithContext(ctx)
	if !cache.WaitForCacheSync(ctx.Done(), p.nodes.HasSynced, p.secrets.HasSynced) {
		return
	}
	p.ready.Store(true)
	go wait.UntilWithContext(ctx, p.deleteOrphans, time.Minute)
	go func() {
		<-ctx.Done()
		p.queue.ShutDown()
	}()
	for p.next(ctx) {
	}
}

func (p *Passwords) next(ctx context.Context) bool {
	node, shutdown := p.queue.Get()
	if shutdown {
		return false
	}
	defer p.queue.Done(node)
	if err := p.own(ctx, node); err != nil {
		klog.ErrorS(err, "The node password has no owner yet", "node", node)
		p.queue.AddRateLimited(node)
		return true
	}
	p.queue.Forget(node)
	return true
}

// own makes the Node the owner of its password's Secret, if both exist.
func (p *Passwords) own(ctx context.Context, name string) error {
	object, exists, err := p.nodes.GetStore().GetByKey(name)
	if err != nil || !exists {
		return err
	}
	node := object.(*corev1.Node)
	object, exists, err = p.secrets.GetStore().GetByKey(metav1.NamespaceSystem + "/" + name + passwordSuffix)
	if err != nil || !exists {
		return err
	}
	secret := object.(*corev1.Secret)
	owner := metav1.OwnerReference{APIVersion: "v1", Kind: "Node", Name: node.Name, UID: node.UID}
	if slices.Contains(secret.OwnerReferences, owner) {
		return nil
	}
	secret = secret.DeepCopy()
	secret.OwnerReferences = append(secret.OwnerReferences, owner)
	_, err = p.client.CoreV1().Secrets(secret.Namespace).Update(ctx, secret, metav1.UpdateOptions{})
	return err
}

func (p *Passwords) deleteOrphans(ctx context.Context) {
	youngest := time.Now().Add(-orphanAge)
	for _, object := range p.secrets.GetStore().List() {
		secret := object.(*corev1.Secret)
		node := strings.TrimSuffix(secret.Name, passwordSuffix)
		if _, exists, _ := p.nodes.GetStore().GetByKey(node); exists || secret.CreationTimestamp.After(youngest) {
			continue
		}
		precondition := metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &secret.UID}}
		err := p.client.CoreV1().Secrets(secret.Namespace).Delete(ctx, secret.Name, precondition)
		if err != nil && !apierrors.IsNotFound(err) {
			klog.ErrorS(err, "An orphaned node password stays", "node", node)
		}
	}
}
